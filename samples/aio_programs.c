// SPDX-License-Identifier: GPL-2.0
/*
 * Short-lived programs that use Linux AIO, one after the other.
 *
 * Each program is a process with a context of its own. It submits writes that an eventfd
 * counts, and polls of a pipe. It waits for all of them, or ends in another way while
 * requests are in flight. When the process is gone, all that it has submitted must have been
 * written. After each program, a line is printed: the side that the context belonged to, and
 * how the program has ended. SIGTERM ends this.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/types.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"

#define BLOCK 4096UL
#define SECTOR 512UL
#define LARGEST_WRITE (4 * BLOCK)
#define WRITES 12UL
#define POLLS 4UL
#define REQUESTS (WRITES + POLLS)
#define TAKEN INT64_MIN
/* How long a program lives at most that is killed, in microseconds */
#define LIFETIME 20000

enum way {
	BY_REAPING,
	BY_DESTROYING,
	BY_EXIT,
	BY_EXEC,
	BY_KILL,
	/* Before it has submitted all */
	BY_EARLY_KILL,
	WAYS,
};

static const char * const ways[] = {
	[BY_REAPING] = "reap",
	[BY_DESTROYING] = "destroy",
	[BY_EXIT] = "exit",
	[BY_EXEC] = "exec",
	[BY_KILL] = "kill",
	[BY_EARLY_KILL] = "kill-early",
};

struct options {
	const char *path;
	unsigned long offset;
	unsigned long length;
	unsigned long kernel;
};

/* What a program writes, and what was there before */
struct write {
	unsigned long offset;
	unsigned long length;
	char *data;
	char *before;
};

struct program {
	aio_context_t context;
	int receive;
	int send;
	int counter;
	/* Polls, and then writes; aio_data is the index */
	struct iocb requests[REQUESTS];
	/* The result of each, or TAKEN when there was one */
	__s64 expected[REQUESTS];
};

static struct options options;
static struct write writes[WRITES];
static int fd;
/* The file, opened for buffered I/O; -1 if it has none */
static int cached_fd;
static char *back;
static atomic_bool is_over;

static void parse(int argc, char **argv)
{
	const struct cli_option table[] = {
		CLI_NUMBER("offset", &options.offset, 0, 0, 1UL << 40,
			   "where the part of the file begins that is overwritten"),
		CLI_NUMBER("length", &options.length, 4UL << 20, WRITES * LARGEST_WRITE, 1UL << 40,
			   "its length"),
		CLI_NUMBER("kernel", &options.kernel, 0, 0, 1UL << 20,
			   "minor number of the device of the kernel's rings, in /proc/PID/maps"),
		{ }
	};

	options.path = cli_parse(argc, argv, "Overwrites a part of FILE until SIGTERM.", table);
}

static char *allocate(unsigned long length)
{
	char *memory = aligned_alloc(BLOCK, length);

	if (!memory)
		fail(ENOMEM, "memory");
	return memory;
}

static unsigned long below(unsigned long limit)
{
	return (unsigned long)random() % limit;
}

static bool overlaps(unsigned long count, unsigned long offset)
{
	while (count--)
		if (writes[count].offset == offset)
			return true;
	return false;
}

/* Choose what the next program writes. Each word has its number, and the position. */
static void choose_writes(unsigned long number)
{
	unsigned long i, word;

	for (i = 0; i < WRITES; i++) {
		struct write *write = &writes[i];

		do {
			write->offset = options.offset +
				below(options.length / LARGEST_WRITE) * LARGEST_WRITE;
		} while (overlaps(i, write->offset));
		write->length = BLOCK * (1 + below(LARGEST_WRITE / BLOCK));
		for (word = 0; word < write->length; word += sizeof(__u64))
			*(__u64 *)(write->data + word) = number << 40 | (write->offset + word);
		if (pread(fd, write->before, write->length, write->offset) !=
		    (ssize_t)write->length)
			fail(errno, "read");
	}
}

static bool is_same(const char *one, const char *other)
{
	return !memcmp(one, other, SECTOR);
}

/* Compare what is there. If the program was killed early, it may be what was there before. */
static void check_writes(enum way way)
{
	unsigned long i, at;

	for (i = 0; i < WRITES; i++) {
		const struct write *write = &writes[i];

		if (pread(fd, back, write->length, write->offset) != (ssize_t)write->length)
			fail(errno, "read");
		for (at = 0; at < write->length; at += SECTOR)
			if (!is_same(back + at, write->data + at) &&
			    !(way == BY_EARLY_KILL && is_same(back + at, write->before + at)))
				fail(EILSEQ, "%s: wrong data at %lu", ways[way],
				     write->offset + at);
	}
}

/* Returns whether the ring of this process, which has one, is the kernel's. */
static bool is_kernels(void)
{
	unsigned int major, minor;
	char line[512];
	bool found = false;
	FILE *maps = fopen("/proc/self/maps", "r");

	if (!maps)
		fail(errno, "/proc/self/maps");
	while (!found && fgets(line, sizeof(line), maps))
		found = strstr(line, "/[aio]") &&
			sscanf(line, "%*s %*s %*s %x:%x", &major, &minor) == 2;
	fclose(maps);
	if (!found)
		fail(ENOENT, "ring");
	return minor == options.kernel;
}

static void prepare_transfer(struct program *program, unsigned long number, int opcode,
			     char *data)
{
	program->requests[POLLS + number] = (struct iocb){
		.aio_data = POLLS + number,
		.aio_lio_opcode = opcode,
		.aio_fildes = fd,
		.aio_buf = (__u64)data,
		.aio_nbytes = writes[number].length,
		.aio_offset = writes[number].offset,
		.aio_flags = IOCB_FLAG_RESFD,
		.aio_resfd = program->counter,
	};
	program->expected[POLLS + number] = writes[number].length;
}

static void prepare(struct program *program)
{
	unsigned long i;
	int ends[2];

	if (pipe(ends))
		fail(errno, "pipe");
	program->receive = ends[0];
	program->send = ends[1];
	program->counter = eventfd(0, 0);
	if (program->counter < 0)
		fail(errno, "eventfd");
	if (syscall(SYS_io_setup, REQUESTS << below(4), &program->context))
		fail(errno, "io_setup");
	for (i = 0; i < POLLS; i++) {
		program->requests[i] = (struct iocb){
			.aio_data = i,
			.aio_lio_opcode = IOCB_CMD_POLL,
			.aio_fildes = program->receive,
			.aio_buf = POLLIN,
		};
		program->expected[i] = POLLIN | POLLRDNORM;
	}
	for (i = 0; i < WRITES; i++)
		prepare_transfer(program, i, IOCB_CMD_PWRITE, writes[i].data);
}

/* Submit requests from number @first on, in any order. */
static void submit_from(struct program *program, unsigned long first)
{
	struct iocb *pointers[REQUESTS];
	unsigned long i, other, done = 0, count = REQUESTS - first;
	long ret;

	for (i = 0; i < count; i++) {
		other = below(i + 1);
		pointers[i] = pointers[other];
		pointers[other] = &program->requests[first + i];
	}
	while (done < count) {
		ret = syscall(SYS_io_submit, program->context, count - done, pointers + done);
		if (ret <= 0)
			fail(ret ? errno : EAGAIN, "io_submit");
		done += ret;
	}
}

/* Have the page cache read what is being written, so that a task has to complete the writes. */
static void read_beside(void)
{
	unsigned long i;

	for (i = 0; i < WRITES && cached_fd >= 0; i++)
		if (pread(cached_fd, back, writes[i].length, writes[i].offset) < 0)
			fail(errno, "buffered read");
}

/* Wait for @count results, and check them. */
static void take(struct program *program, unsigned long count)
{
	struct io_event events[REQUESTS];
	long ret, i;

	ret = syscall(SYS_io_getevents, program->context, count, count, events, NULL);
	if (ret != (long)count)
		fail(ret < 0 ? errno : EIO, "io_getevents");
	for (i = 0; i < ret; i++) {
		__u64 number = events[i].data;

		if (number >= REQUESTS || events[i].res != program->expected[number])
			fail(EIO, "request %llu: result %lld", number, events[i].res);
		program->expected[number] = TAKEN;
	}
}

static void check_counter(const struct program *program)
{
	__u64 counted = 0, count;

	while (counted < WRITES) {
		if (read(program->counter, &count, sizeof(count)) != sizeof(count))
			fail(errno, "eventfd");
		counted += count;
	}
	if (counted != WRITES)
		fail(EIO, "the eventfd has counted %llu", counted);
}

/* Read what was written, by AIO. */
static void read_back(struct program *program)
{
	unsigned long i;

	for (i = 0; i < WRITES; i++) {
		memset(writes[i].before, 0, writes[i].length);
		prepare_transfer(program, i, IOCB_CMD_PREAD, writes[i].before);
	}
	submit_from(program, POLLS);
	take(program, WRITES);
	check_counter(program);
	for (i = 0; i < WRITES; i++)
		if (memcmp(writes[i].before, writes[i].data, writes[i].length))
			fail(EILSEQ, "reap: wrong data at %lu", writes[i].offset);
}

/* Cancel a poll, and wait for all requests. */
static void reap(struct program *program)
{
	unsigned long cancelled = below(POLLS);
	struct io_event event;

	if (!syscall(SYS_io_cancel, program->context, &program->requests[cancelled], &event) ||
	    errno != EINPROGRESS)
		fail(errno, "io_cancel");
	program->expected[cancelled] = 0;
	if (write(program->send, "x", 1) != 1)
		fail(errno, "pipe");
	take(program, REQUESTS);
	check_counter(program);
	read_back(program);
}

static void end(struct program *program, enum way way)
{
	struct io_event events[REQUESTS];

	switch (way) {
	case BY_REAPING:
		reap(program);
		break;
	case BY_DESTROYING:
		if (syscall(SYS_io_destroy, program->context))
			fail(errno, "io_destroy");
		break;
	case BY_EXEC:
		execl("/bin/true", "true", (char *)NULL);
		fail(errno, "execl");
		break;
	case BY_KILL:
	case BY_EARLY_KILL:
		/* For more results than there are */
		syscall(SYS_io_getevents, program->context, REQUESTS + 1, REQUESTS + 1, events,
			NULL);
		fail(errno, "io_getevents");
		break;
	default:
		break;
	}
	_exit(0);
}

/* Run in a process of its own. Write to @report whether the context is the kernel's. */
static void run(enum way way, int report)
{
	struct program program = { };
	char kernel;

	/* The parent's numbers would be the same each time. */
	srandom(getpid());
	prepare(&program);
	kernel = is_kernels();
	if (way == BY_EARLY_KILL && write(report, &kernel, 1) != 1)
		fail(errno, "pipe");
	submit_from(&program, 0);
	if (below(2))
		read_beside();
	if (way != BY_EARLY_KILL && write(report, &kernel, 1) != 1)
		fail(errno, "pipe");
	end(&program, way);
}

/* Run a program until its end. Returns whether it has had a context of the kernel. */
static bool run_in_child(enum way way)
{
	bool is_killed = way == BY_KILL || way == BY_EARLY_KILL;
	int report[2], status;
	char kernel;
	pid_t pid;

	if (pipe(report))
		fail(errno, "pipe");
	pid = fork();
	if (pid < 0)
		fail(errno, "fork");
	if (!pid)
		run(way, report[1]);
	close(report[1]);
	if (read(report[0], &kernel, 1) != 1)
		fail(EPIPE, "%s: the program has failed", ways[way]);
	close(report[0]);
	if (is_killed) {
		usleep(below(LIFETIME));
		kill(pid, SIGKILL);
	}
	if (waitpid(pid, &status, 0) != pid)
		fail(errno, "waitpid");
	if (is_killed ? !WIFSIGNALED(status) : !WIFEXITED(status) || WEXITSTATUS(status))
		fail(ECANCELED, "%s: status %#x", ways[way], status);
	return kernel;
}

static void set_up(void)
{
	unsigned long i;

	fd = open(options.path, O_RDWR | O_DIRECT);
	if (fd < 0)
		fail(errno, "%s", options.path);
	cached_fd = open(options.path, O_RDONLY);
	back = allocate(LARGEST_WRITE);
	for (i = 0; i < WRITES; i++) {
		writes[i].data = allocate(LARGEST_WRITE);
		writes[i].before = allocate(LARGEST_WRITE);
	}
}

static void stop(int signal)
{
	(void)signal;
	is_over = true;
}

int main(int argc, char **argv)
{
	unsigned long number;
	bool kernel;

	parse(argc, argv);
	set_up();
	signal(SIGTERM, stop);
	for (number = 0; !is_over; number++) {
		enum way way = number % WAYS;

		choose_writes(number);
		kernel = run_in_child(way);
		check_writes(way);
		printf("%s %s\n", kernel ? "kernel" : "module", ways[way]);
		fflush(stdout);
	}
	return 0;
}
