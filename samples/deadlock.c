// SPDX-License-Identifier: GPL-2.0
/*
 * A task that sleeps in the kernel until its own direct I/O is over.
 *
 * Each round submits writes by io_uring and, while they are in flight, makes a
 * system call that waits for them in the kernel, uninterruptibly: fallocate(),
 * ftruncate() and, on a diofs, buffered writes wait for the inode's i_dio_count;
 * freezing the file system waits for the super block's writers. The task neither
 * runs task work nor polls in user space while it sleeps there. So if a completion
 * that is left to this task keeps what the call waits for, the task never wakes up.
 *
 * With --poll, the ring has IORING_SETUP_IOPOLL, and the writes are submitted
 * with io_uring_enter(fd, n, 0, 0), which does not poll; io_uring_submit() would
 * poll once. The device has done its part at some time, but its driver ends the
 * bios only when the hardware queue is polled, or when the driver's timeout
 * finds them, after 5 to 30 seconds; null disks then fail them. On a diofs, calls
 * that wait for i_dio_count poll the device. With --poll-beside, a second thread
 * polls that queue all the time, because it reads the block device, by a polled
 * ring of its own and on the same CPU. It does not read FILE: the calls keep direct
 * I/O away from the file while they wait, and a poll of the file would reap the
 * writes, whereas a poll of the device only ends their bios.
 *
 * With --aio, the writes are submitted by Linux AIO. With --reap-beside, a second
 * thread sleeps in io_getevents() all the time, for the results of a whole round.
 * The last write of the round is submitted after the call that waits for the others.
 * So if a completion is left to the second thread, but that thread is woken only
 * when it has all results, neither of them ever wakes up.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <linux/types.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cli.h"
#include "command.h"

#define BLOCK 4096UL
#define MAX_DEPTH 4096UL
/* With --dirty-cache, the page cache holds this many bytes at the end of the file. */
#define CACHED (64UL * 1024)

enum wait_by {
	BY_FALLOCATE,
	BY_FTRUNCATE,
	BY_SHRINKING,
	BY_FREEZE,
	BY_BUFFERED_WRITE,
};

struct options {
	const char *path;
	unsigned long rounds;
	unsigned long depth;
	unsigned int wait_by;
	unsigned int ring_flags;
	bool poll_beside;
	bool aio;
	bool reap_beside;
	bool read_beside;
	bool dirty_cache;
	bool dsync;
	bool command;
};

/* The thread that polls the block device */
struct poller {
	pthread_t thread;
	struct io_uring ring;
	int fd;
	void *data;
	atomic_bool is_over;
};

/* The thread that waits for the results of AIO */
struct reaper {
	pthread_t thread;
	/* Posted when all writes of a round have been reaped */
	sem_t round_is_over;
};

struct state {
	struct options options;
	unsigned long round;
	struct io_uring ring;
	aio_context_t context;
	int fd;
	/* The file, opened for buffered I/O */
	int cached_fd;
	__u64 size;
	/* The end of the part that is written to */
	__u64 end;
	/* The position of the next write, and those of the writes of this round */
	__u64 offset;
	__u64 offsets[MAX_DEPTH];
	/* The end of the last fallocate() */
	__u64 allocated;
	char *data;
	struct poller poller;
	struct reaper reaper;
};

static struct options parse(int argc, char **argv)
{
	struct options options = { };
	const struct cli_option table[] = {
		CLI_NUMBER("rounds", &options.rounds, 100000, 1, 1UL << 40, "rounds"),
		CLI_NUMBER("depth", &options.depth, 1, 1, MAX_DEPTH, "writes in flight at a time"),
		CLI_VALUE("ftruncate", &options.wait_by, BY_FTRUNCATE,
			  "wait by ftruncate() to the size of the file"),
		CLI_VALUE("shrink", &options.wait_by, BY_SHRINKING,
			  "wait by ftruncate() that removes a block, which was added before"),
		CLI_VALUE("freeze", &options.wait_by, BY_FREEZE,
			  "wait by freezing the file system, then thaw it"),
		CLI_VALUE("buffered-write", &options.wait_by, BY_BUFFERED_WRITE,
			  "wait by a buffered write of another part of the file"),
		CLI_BITS("poll", &options.ring_flags, IORING_SETUP_IOPOLL,
			 "poll for completions (IORING_SETUP_IOPOLL)"),
		CLI_SWITCH("poll-beside", &options.poll_beside,
			   "poll the file's block device in a second thread"),
		CLI_SWITCH("aio", &options.aio, "write by Linux AIO"),
		CLI_SWITCH("reap-beside", &options.reap_beside,
			   "with --aio, reap in a second thread, and submit one more write"),
		CLI_SWITCH("read-beside", &options.read_beside,
			   "read what is being written through the page cache"),
		CLI_SWITCH("dirty-cache", &options.dirty_cache,
			   "keep a part of the file in the page cache"),
		CLI_SWITCH("dsync", &options.dsync, "durable writes"),
		CLI_SWITCH("command", &options.command,
			   "write by commands; FILE must be on a diofs"),
		{ }
	};

	options.path = cli_parse(argc, argv,
				 "Overwrites FILE, which must exist and not be empty.", table);
	if (options.aio && (options.ring_flags || options.command))
		fail(EINVAL, "--aio with an option of io_uring");
	if (options.reap_beside && !options.aio)
		fail(EINVAL, "--reap-beside without --aio");
	return options;
}

static char *allocate_block(void)
{
	char *data = aligned_alloc(BLOCK, BLOCK);

	if (!data)
		fail(ENOMEM, "memory");
	memset(data, 0x5a, BLOCK);
	return data;
}

/* Open the block device that the open file @fd is on. */
static int open_device(int fd)
{
	char link[64], target[256], path[256 + 8];
	ssize_t length;
	struct stat st;
	int device;

	if (fstat(fd, &st))
		fail(errno, "fstat");
	snprintf(link, sizeof(link), "/sys/dev/block/%u:%u", major(st.st_dev), minor(st.st_dev));
	length = readlink(link, target, sizeof(target) - 1);
	if (length < 0)
		fail(errno, "%s", link);
	target[length] = 0;
	snprintf(path, sizeof(path), "/dev/%s", basename(target));
	device = open(path, O_RDONLY | O_DIRECT);
	if (device < 0)
		fail(errno, "%s", path);
	return device;
}

/* Stay on this CPU, because it determines the hardware queue. */
static void pin_to_cpu(void)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(sched_getcpu(), &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		fail(errno, "sched_setaffinity");
}

static void *poll_device(void *arg)
{
	struct poller *poller = arg;
	int ret;

	while (!poller->is_over) {
		io_uring_prep_read(io_uring_get_sqe(&poller->ring), poller->fd, poller->data,
				   BLOCK, 0);
		ret = io_uring_submit(&poller->ring);
		if (ret == 1)
			ret = wait_result(&poller->ring);
		if (ret != BLOCK)
			fail(ret < 0 ? ret : EIO, "polling the device");
		sched_yield();
	}
	return NULL;
}

static void start_poller(struct poller *poller, int fd)
{
	int ret;

	pin_to_cpu();
	poller->fd = open_device(fd);
	poller->data = allocate_block();
	ret = io_uring_queue_init(1, &poller->ring, IORING_SETUP_IOPOLL);
	if (ret)
		fail(ret, "io_uring_queue_init");
	ret = pthread_create(&poller->thread, NULL, poll_device, poller);
	if (ret)
		fail(ret, "pthread_create");
}

static void stop_poller(struct poller *poller)
{
	poller->is_over = true;
	pthread_join(poller->thread, NULL);
	io_uring_queue_exit(&poller->ring);
	free(poller->data);
	close(poller->fd);
}

/* Wait for @count results of AIO. */
static void reap_aio(struct state *state, unsigned long count)
{
	struct io_event events[MAX_DEPTH + 1];
	unsigned long i;
	long ret;

	ret = syscall(SYS_io_getevents, state->context, count, count, events, NULL);
	if (ret < 0 || (unsigned long)ret != count)
		fail(ret < 0 ? errno : EIO, "round %lu: io_getevents", state->round);
	for (i = 0; i < count; i++)
		if (events[i].res != BLOCK)
			fail(events[i].res < 0 ? (int)events[i].res : EIO, "round %lu: write",
			     state->round);
}

static void *reap_rounds(void *arg)
{
	struct state *state = arg;
	unsigned long i;

	for (i = 0; i < state->options.rounds; i++) {
		reap_aio(state, state->options.depth + 1);
		sem_post(&state->reaper.round_is_over);
	}
	return NULL;
}

static void set_up_issuer(struct state *state)
{
	const struct options *options = &state->options;
	int ret;

	if (!options->aio)
		ret = io_uring_queue_init(options->depth, &state->ring, options->ring_flags);
	else if (syscall(SYS_io_setup, options->depth + 1, &state->context))
		ret = errno;
	else if (options->reap_beside && !sem_init(&state->reaper.round_is_over, 0, 0))
		ret = pthread_create(&state->reaper.thread, NULL, reap_rounds, state);
	else
		ret = 0;
	if (ret)
		fail(ret, options->aio ? "io_setup" : "io_uring_queue_init");
}

static void tear_down_issuer(struct state *state)
{
	if (!state->options.aio) {
		io_uring_queue_exit(&state->ring);
		return;
	}
	if (state->options.reap_beside)
		pthread_join(state->reaper.thread, NULL);
	if (syscall(SYS_io_destroy, state->context))
		fail(errno, "io_destroy");
}

static void set_up(struct state *state)
{
	const struct options *options = &state->options;
	struct stat st;

	state->fd = open(options->path, O_RDWR | O_DIRECT);
	if (state->fd < 0 || fstat(state->fd, &st))
		fail(errno, "%s", options->path);
	state->size = st.st_size;
	if (state->size < CACHED + BLOCK)
		fail(ENOSPC, "%s", options->path);
	state->end = state->size - CACHED;
	state->cached_fd = -1;
	if (options->dirty_cache || options->read_beside ||
	    options->wait_by == BY_BUFFERED_WRITE) {
		state->cached_fd = open(options->path, O_RDWR);
		if (state->cached_fd < 0)
			fail(errno, "%s", options->path);
	}
	state->data = allocate_block();
	if (options->poll_beside)
		start_poller(&state->poller, state->fd);
	set_up_issuer(state);
}

static void tear_down(struct state *state)
{
	if (state->options.poll_beside)
		stop_poller(&state->poller);
	tear_down_issuer(state);
	free(state->data);
	if (state->cached_fd >= 0)
		close(state->cached_fd);
	close(state->fd);
}

/*
 * Put pages in the cache, one of them dirty, but none where the writes go. Under
 * some policies, this makes the completion of a write need a task.
 */
static void fill_cache(struct state *state)
{
	static char buf[CACHED];

	if (pread(state->cached_fd, buf, CACHED, state->end) < 0)
		fail(errno, "round %lu: buffered read", state->round);
	if (pwrite(state->cached_fd, buf, BLOCK, state->end) < 0)
		fail(errno, "round %lu: buffered write", state->round);
}

/* Have pages of what is being written in the cache, which the completions have to drop. */
static void read_beside(struct state *state)
{
	char buf[BLOCK];
	unsigned long i;

	for (i = 0; i < state->options.depth; i++)
		if (pread(state->cached_fd, buf, BLOCK, state->offsets[i]) != BLOCK)
			fail(errno, "round %lu: buffered read", state->round);
}

/* Return the position of write number @number of this round. */
static __u64 take_offset(struct state *state, unsigned long number)
{
	__u64 offset = state->offset;

	state->offset += BLOCK;
	if (state->offset + BLOCK > state->end)
		state->offset = 0;
	state->offsets[number] = offset;
	return offset;
}

static void prep_write(const struct state *state, struct io_uring_sqe *sqe, __u64 offset)
{
	bool dsync = state->options.dsync;

	if (state->options.command) {
		prep_command(sqe, RNULL_DIO_URING_CMD_WRITE, state->fd, state->data,
			     BLOCK, offset, dsync ? RNULL_DIO_DSYNC : 0);
		return;
	}
	io_uring_prep_write(sqe, state->fd, state->data, BLOCK, offset);
	sqe->rw_flags = dsync ? RWF_DSYNC : 0;
}

/* As io_uring_submit(), which also polls if the ring has IORING_SETUP_IOPOLL. */
static int submit_without_polling(struct io_uring *ring)
{
	unsigned int count = io_uring_sq_ready(ring);

	ring->sq.sqe_head = ring->sq.sqe_tail;
	io_uring_smp_store_release(ring->sq.ktail, ring->sq.sqe_tail);
	return io_uring_enter(ring->ring_fd, count, 0, 0, NULL);
}

static void submit_aio(struct state *state, unsigned long count)
{
	struct iocb *pointers[MAX_DEPTH];
	static struct iocb iocbs[MAX_DEPTH];
	unsigned long i, done = 0;
	long ret;

	for (i = 0; i < count; i++) {
		struct iocb *iocb = &iocbs[i];

		pointers[i] = iocb;
		iocb->aio_lio_opcode = IOCB_CMD_PWRITE;
		iocb->aio_fildes = state->fd;
		iocb->aio_buf = (__u64)state->data;
		iocb->aio_nbytes = BLOCK;
		iocb->aio_offset = take_offset(state, i);
		iocb->aio_rw_flags = state->options.dsync ? RWF_DSYNC : 0;
	}
	while (done < count) {
		ret = syscall(SYS_io_submit, state->context, count - done, pointers + done);
		if (ret <= 0)
			fail(ret ? errno : EAGAIN, "round %lu: io_submit", state->round);
		done += ret;
	}
}

static void submit(struct state *state)
{
	struct io_uring_sqe *sqe;
	unsigned long i;
	int ret;

	for (i = 0; i < state->options.depth; i++) {
		sqe = io_uring_get_sqe(&state->ring);
		if (!sqe)
			fail(EBUSY, "round %lu: io_uring_get_sqe", state->round);
		prep_write(state, sqe, take_offset(state, i));
	}
	ret = submit_without_polling(&state->ring);
	if (ret < 0 || (unsigned long)ret != state->options.depth)
		fail(ret < 0 ? ret : EIO, "round %lu: io_uring_enter", state->round);
}

/* Make the call that sleeps until the writes are over. */
static void wait_in_kernel(struct state *state)
{
	switch (state->options.wait_by) {
	case BY_FALLOCATE:
		state->allocated += BLOCK;
		if (state->allocated > state->size)
			state->allocated = BLOCK;
		if (fallocate(state->fd, 0, 0, state->allocated))
			fail(errno, "round %lu: fallocate", state->round);
		break;
	case BY_FTRUNCATE:
	case BY_SHRINKING:
		if (ftruncate(state->fd, state->size))
			fail(errno, "round %lu: ftruncate", state->round);
		break;
	case BY_FREEZE:
		if (ioctl(state->fd, FIFREEZE, 0))
			fail(errno, "round %lu: FIFREEZE", state->round);
		if (ioctl(state->fd, FITHAW, 0))
			fail(errno, "round %lu: FITHAW", state->round);
		break;
	case BY_BUFFERED_WRITE:
		if (pwrite(state->cached_fd, state->data, BLOCK, state->end) != BLOCK)
			fail(errno, "round %lu: buffered write", state->round);
		break;
	}
}

static void reap(struct state *state)
{
	unsigned long i;
	int ret;

	if (state->options.reap_beside) {
		submit_aio(state, 1);
		sem_wait(&state->reaper.round_is_over);
		return;
	}
	if (state->options.aio) {
		reap_aio(state, state->options.depth);
		return;
	}
	for (i = 0; i < state->options.depth; i++) {
		ret = wait_result(&state->ring);
		if (ret != BLOCK)
			fail(ret < 0 ? ret : EIO, "round %lu: write", state->round);
	}
}

static void run_round(struct state *state)
{
	if (state->options.dirty_cache)
		fill_cache(state);
	if (state->options.wait_by == BY_SHRINKING && ftruncate(state->fd, state->size + BLOCK))
		fail(errno, "round %lu: ftruncate", state->round);
	if (state->options.aio)
		submit_aio(state, state->options.depth);
	else
		submit(state);
	if (state->options.read_beside)
		read_beside(state);
	wait_in_kernel(state);
	reap(state);
}

int main(int argc, char **argv)
{
	static struct state state;

	state.options = parse(argc, argv);
	set_up(&state);
	for (; state.round < state.options.rounds; state.round++)
		run_round(&state);
	tear_down(&state);
	printf("deadlock: none in %lu rounds of %lu writes\n", state.options.rounds,
	       state.options.depth);
	return 0;
}
