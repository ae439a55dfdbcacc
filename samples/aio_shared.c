// SPDX-License-Identifier: GPL-2.0
/*
 * Several threads submit reads to one context of Linux AIO, and one thread reaps them.
 *
 * Each submitter keeps a number of direct reads at random positions in flight. The reaper gives a
 * read back to its submitter, which submits it again, until the program gets SIGTERM. Then it
 * prints what a read has cost, as JSON. With --own, each thread has a context of its own instead,
 * and reaps its own reads.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <linux/types.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

#define PAGE 4096UL
#define MAX_SUBMITTERS 64UL
#define MAX_DEPTH 1024UL

struct options {
	const char *path;
	unsigned long submitters;
	/* Reads in flight, for each submitter */
	unsigned long depth;
	/* For io_getevents() */
	unsigned long min;
	unsigned long nr;
	/* In bytes: of a read, and of the part of the file that is read */
	unsigned long block;
	unsigned long size;
	bool own;
	bool files;
	bool pin;
	bool fill;
};

/*
 * A thread that submits. @free has the reads that are not in flight: the reaper, or with --own this
 * thread, adds them at @given, and this thread removes them at @taken. Both numbers only grow.
 */
struct submitter {
	aio_context_t context;
	int fd;
	pthread_t thread;
	unsigned int number;
	__u64 random;
	struct iocb *iocbs;
	struct iocb **free;
	unsigned int taken;
	/* What follows is in other cache lines than what precedes it. */
	char padding[64];
	atomic_uint given;
	atomic_bool is_waiting;
};

/* What a thread has done; only that thread writes here. */
struct counts {
	atomic_ulong submissions;
	atomic_ulong getevents;
	atomic_ulong reads;
	char padding[64];
};

static struct options options;
static struct submitter submitters[MAX_SUBMITTERS];
/* Those of the submitters, and of the reaper */
static struct counts counts[MAX_SUBMITTERS + 1];

static void parse(int argc, char **argv)
{
	const struct cli_option table[] = {
		CLI_NUMBER("submitters", &options.submitters, 4, 1, MAX_SUBMITTERS,
			   "threads that submit"),
		CLI_NUMBER("depth", &options.depth, 32, 1, MAX_DEPTH,
			   "reads in flight, for each of them"),
		CLI_NUMBER("min", &options.min, 1, 1, MAX_DEPTH,
			   "reads that io_getevents() waits for, --depth at most"),
		CLI_NUMBER("nr", &options.nr, 64, 1, MAX_DEPTH,
			   "reads that io_getevents() returns at most"),
		CLI_NUMBER("block", &options.block, PAGE, 512, 1UL << 20, "bytes of a read"),
		CLI_NUMBER("size", &options.size, 8UL << 20, PAGE, 1UL << 40,
			   "bytes at the start of the file that are read"),
		CLI_SWITCH("own", &options.own, "a context for each submitter, and no reaper"),
		CLI_SWITCH("files", &options.files,
			   "a file for each submitter: FILE0, FILE1, and so on"),
		CLI_SWITCH("pin", &options.pin,
			   "a CPU for each submitter; the reaper runs on the last one's"),
		CLI_SWITCH("fill", &options.fill,
			   "write the file first, and verify what is read"),
		{ }
	};

	options.path = cli_parse(argc, argv,
				 "Reads FILE, by Linux AIO from several threads, until SIGTERM.",
				 table);
	if (options.min > options.depth || options.min > options.nr)
		fail(0, "--min is larger than --depth or --nr");
	if (options.block > options.size)
		fail(0, "--block is larger than --size");
}

static void add(atomic_ulong *count, unsigned long number)
{
	atomic_store_explicit(count,
			      atomic_load_explicit(count, memory_order_relaxed) + number,
			      memory_order_relaxed);
}

static void futex(atomic_uint *word, int operation, unsigned int value)
{
	syscall(SYS_futex, word, operation | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

/* Gives a read that is not in flight any more back to its submitter. */
static void give_back(struct submitter *submitter, struct iocb *iocb)
{
	unsigned int given = atomic_load_explicit(&submitter->given, memory_order_relaxed);

	submitter->free[given % options.depth] = iocb;
	atomic_store(&submitter->given, given + 1);
	if (atomic_load(&submitter->is_waiting))
		futex(&submitter->given, FUTEX_WAKE, 1);
}

/* Sleeps until a read is not in flight. */
static void wait_for_free(struct submitter *submitter)
{
	atomic_store(&submitter->is_waiting, true);
	while (atomic_load(&submitter->given) == submitter->taken)
		futex(&submitter->given, FUTEX_WAIT, submitter->taken);
	atomic_store(&submitter->is_waiting, false);
}

static unsigned long next_position(struct submitter *submitter)
{
	/* a linear congruential generator, whose high bits are used */
	submitter->random = submitter->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return (submitter->random >> 33) % (options.size / options.block) * options.block;
}

/* Takes reads that are not in flight; returns how many. */
static unsigned int take(struct submitter *submitter, struct iocb **iocbs)
{
	unsigned int count = atomic_load(&submitter->given) - submitter->taken, i;

	for (i = 0; i < count; i++) {
		iocbs[i] = submitter->free[submitter->taken++ % options.depth];
		iocbs[i]->aio_offset = next_position(submitter);
	}
	return count;
}

static void submit_all(struct submitter *submitter)
{
	struct iocb *iocbs[MAX_DEPTH];
	unsigned int count = take(submitter, iocbs), done = 0;
	long ret;

	while (done < count) {
		ret = syscall(SYS_io_submit, submitter->context, count - done, iocbs + done);
		if (ret < 0 && errno != EAGAIN)
			fail(errno, "io_submit");
		if (ret <= 0)
			sched_yield();
		else
			done += ret;
		add(&counts[submitter->number].submissions, 1);
	}
}

/* Each word of a file that this program has filled has its position. */
static void verify(const struct iocb *iocb)
{
	const __u64 *words = (const __u64 *)iocb->aio_buf;
	unsigned long i;

	for (i = 0; i < options.block / sizeof(*words); i++)
		if (words[i] != iocb->aio_offset + i * sizeof(*words))
			fail(EIO, "wrong data at %lld", iocb->aio_offset);
}

static void reap(aio_context_t context, struct counts *count)
{
	struct io_event events[MAX_DEPTH];
	long ret, i;

	ret = syscall(SYS_io_getevents, context, options.min, options.nr, events, NULL);
	if (ret < 0 && errno != EINTR)
		fail(errno, "io_getevents");
	add(&count->getevents, 1);
	for (i = 0; i < ret; i++) {
		struct iocb *iocb = (struct iocb *)events[i].obj;

		if (events[i].res != (__s64)options.block)
			fail(events[i].res < 0 ? (int)events[i].res : EIO, "read");
		if (options.fill)
			verify(iocb);
		give_back((struct submitter *)events[i].data, iocb);
	}
	if (ret > 0)
		add(&count->reads, ret);
}

/* Has the calling thread run on one of the CPUs that the program may run on. */
static void pin(unsigned int number)
{
	cpu_set_t all, one;
	int cpu, ret;

	if (!options.pin)
		return;
	if (sched_getaffinity(getpid(), sizeof(all), &all))
		fail(errno, "sched_getaffinity");
	number %= CPU_COUNT(&all);
	for (cpu = 0; !CPU_ISSET(cpu, &all) || number; cpu++)
		number -= CPU_ISSET(cpu, &all) ? 1 : 0;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	ret = pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
	if (ret)
		fail(ret, "pthread_setaffinity_np");
}

static void *run_submitter(void *data)
{
	struct submitter *submitter = data;

	pin(submitter->number);
	for (;;) {
		submit_all(submitter);
		if (options.own)
			reap(submitter->context, &counts[submitter->number]);
		else
			wait_for_free(submitter);
	}
	return NULL;
}

static void *run_reaper(void *data)
{
	(void)data;
	pin(options.submitters - 1);
	for (;;)
		reap(submitters[0].context, &counts[options.submitters]);
	return NULL;
}

static void fill(int fd)
{
	__u64 *words = aligned_alloc(PAGE, PAGE), position, i;

	if (!words)
		fail(ENOMEM, "memory");
	for (position = 0; position < options.size; position += PAGE) {
		for (i = 0; i < PAGE / sizeof(*words); i++)
			words[i] = position + i * sizeof(*words);
		if (pwrite(fd, words, PAGE, position) != (ssize_t)PAGE)
			fail(errno, "%s", options.path);
	}
	free(words);
}

/* Opens the submitter's file. Without --files, all submitters have one open file. */
static int open_file(const struct submitter *submitter)
{
	int flags = options.fill ? O_RDWR | O_CREAT | O_DIRECT : O_RDONLY | O_DIRECT, fd;
	char *path;

	if (!options.files && submitter != submitters)
		return submitters[0].fd;
	if (asprintf(&path, options.files ? "%s%u" : "%s", options.path, submitter->number) < 0)
		fail(ENOMEM, "memory");
	fd = open(path, flags, 0600);
	if (fd < 0)
		fail(errno, "%s", path);
	free(path);
	if (options.fill)
		fill(fd);
	return fd;
}

static void set_up_context(struct submitter *submitter)
{
	unsigned long reads = options.depth * (options.own ? 1 : options.submitters);

	if (!options.own && submitter != submitters)
		submitter->context = submitters[0].context;
	else if (syscall(SYS_io_setup, reads, &submitter->context))
		fail(errno, "io_setup");
}

static void set_up(struct submitter *submitter, unsigned int number)
{
	char *memory = aligned_alloc(PAGE, options.depth * ((options.block + PAGE - 1) & -PAGE));
	unsigned long i;

	submitter->number = number;
	submitter->random = number;
	submitter->fd = open_file(submitter);
	set_up_context(submitter);
	submitter->iocbs = calloc(options.depth, sizeof(*submitter->iocbs));
	submitter->free = calloc(options.depth, sizeof(*submitter->free));
	if (!memory || !submitter->iocbs || !submitter->free)
		fail(ENOMEM, "memory");
	for (i = 0; i < options.depth; i++) {
		submitter->iocbs[i] = (struct iocb){
			.aio_data = (__u64)submitter,
			.aio_lio_opcode = IOCB_CMD_PREAD,
			.aio_fildes = submitter->fd,
			.aio_buf = (__u64)(memory + i * options.block),
			.aio_nbytes = options.block,
		};
		give_back(submitter, &submitter->iocbs[i]);
	}
}

static void start(pthread_t *thread, void *(*run)(void *data), void *data)
{
	int ret = pthread_create(thread, NULL, run, data);

	if (ret)
		fail(ret, "pthread_create");
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void print(double seconds)
{
	unsigned long submissions = 0, getevents = 0, reads = 0, i;
	struct rusage usage;
	double per;

	for (i = 0; i <= options.submitters; i++) {
		submissions += counts[i].submissions;
		getevents += counts[i].getevents;
		reads += counts[i].reads;
	}
	getrusage(RUSAGE_SELF, &usage);
	per = reads ? reads : 1;
	printf("{\"error\": 0, \"reads\": %lu, \"iops\": %.0f, \"io_submit\": %.3f, ", reads,
	       reads / seconds, submissions / per);
	printf("\"io_getevents\": %.3f, \"context_switches\": %.3f}\n", getevents / per,
	       (usage.ru_nvcsw + usage.ru_nivcsw) / per);
}

/* Reads that are in flight end before the process does. */
int main(int argc, char **argv)
{
	pthread_t reaper;
	unsigned long i;
	sigset_t term;
	double begin;
	int signal;

	parse(argc, argv);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	for (i = 0; i < options.submitters; i++)
		set_up(&submitters[i], i);
	begin = now();
	if (!options.own)
		start(&reaper, run_reaper, NULL);
	for (i = 0; i < options.submitters; i++)
		start(&submitters[i].thread, run_submitter, &submitters[i]);
	sigwait(&term, &signal);
	print(now() - begin);
	fflush(stdout);
	_exit(0);
}
