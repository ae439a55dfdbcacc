// SPDX-License-Identifier: GPL-2.0
/*
 * A task that sleeps in the kernel until its own direct I/O is over.
 *
 * Each round submits io_uring writes and, while they are in flight, makes a
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
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/fs.h>
#include <linux/types.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
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

struct state {
	struct options options;
	unsigned long round;
	struct io_uring ring;
	int fd;
	/* The file, opened for buffered I/O */
	int cached_fd;
	__u64 size;
	/* The end of the part that is written to */
	__u64 end;
	/* The position of the next write */
	__u64 offset;
	/* The end of the last fallocate() */
	__u64 allocated;
	char *data;
	struct poller poller;
};

static struct options parse(int argc, char **argv)
{
	struct options options = { };
	const struct cli_option table[] = {
		CLI_NUMBER("rounds", &options.rounds, 100000, 1, 1UL << 40, "rounds"),
		CLI_NUMBER("depth", &options.depth, 1, 1, MAX_DEPTH, "writes in flight at a time"),
		CLI_VALUE("ftruncate", &options.wait_by, BY_FTRUNCATE,
			  "wait by ftruncate() to the size of the file"),
		CLI_VALUE("freeze", &options.wait_by, BY_FREEZE,
			  "wait by freezing the file system, then thaw it"),
		CLI_VALUE("buffered-write", &options.wait_by, BY_BUFFERED_WRITE,
			  "wait by a buffered write of another part of the file"),
		CLI_BITS("poll", &options.ring_flags, IORING_SETUP_IOPOLL,
			 "poll for completions (IORING_SETUP_IOPOLL)"),
		CLI_SWITCH("poll-beside", &options.poll_beside,
			   "poll the file's block device in a second thread"),
		CLI_SWITCH("dirty-cache", &options.dirty_cache,
			   "keep a part of the file in the page cache"),
		CLI_SWITCH("dsync", &options.dsync, "durable writes"),
		CLI_SWITCH("command", &options.command,
			   "write by commands; FILE must be on a diofs"),
		{ }
	};

	options.path = cli_parse(argc, argv,
				 "Overwrites FILE, which must exist and not be empty.", table);
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

static void set_up(struct state *state)
{
	const struct options *options = &state->options;
	struct stat st;
	int ret;

	state->fd = open(options->path, O_RDWR | O_DIRECT);
	if (state->fd < 0 || fstat(state->fd, &st))
		fail(errno, "%s", options->path);
	state->size = st.st_size;
	if (state->size < CACHED + BLOCK)
		fail(ENOSPC, "%s", options->path);
	state->end = state->size - CACHED;
	state->cached_fd = -1;
	if (options->dirty_cache || options->wait_by == BY_BUFFERED_WRITE) {
		state->cached_fd = open(options->path, O_RDWR);
		if (state->cached_fd < 0)
			fail(errno, "%s", options->path);
	}
	state->data = allocate_block();
	ret = io_uring_queue_init(options->depth, &state->ring, options->ring_flags);
	if (ret)
		fail(ret, "io_uring_queue_init");
	if (options->poll_beside)
		start_poller(&state->poller, state->fd);
}

static void tear_down(struct state *state)
{
	if (state->options.poll_beside)
		stop_poller(&state->poller);
	io_uring_queue_exit(&state->ring);
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

static void prep_write(const struct state *state, struct io_uring_sqe *sqe)
{
	bool dsync = state->options.dsync;

	if (state->options.command) {
		prep_command(sqe, RNULL_DIO_URING_CMD_WRITE, state->fd, state->data,
			     BLOCK, state->offset, dsync ? RNULL_DIO_DSYNC : 0);
		return;
	}
	io_uring_prep_write(sqe, state->fd, state->data, BLOCK, state->offset);
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

static void submit(struct state *state)
{
	struct io_uring_sqe *sqe;
	unsigned long i;
	int ret;

	for (i = 0; i < state->options.depth; i++) {
		sqe = io_uring_get_sqe(&state->ring);
		if (!sqe)
			fail(EBUSY, "round %lu: io_uring_get_sqe", state->round);
		prep_write(state, sqe);
		state->offset += BLOCK;
		if (state->offset + BLOCK > state->end)
			state->offset = 0;
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
	submit(state);
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
