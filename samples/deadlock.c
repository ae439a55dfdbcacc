// SPDX-License-Identifier: GPL-2.0
/*
 * A task that sleeps until its own direct I/O is over.
 *
 * Each round submits io_uring writes and, while they are under way, makes a
 * system call that waits for all of them in the kernel: fallocate(),
 * ftruncate() or a freeze of the file system. Task work does not run during
 * such a sleep. So if what the call waits for were dropped by a completion
 * that had been left for this very task to run, the task would sleep forever.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <liburing.h>
#include <linux/fs.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "number.h"

#define BLOCK 4096UL
#define MAX_DEPTH 4096UL
/* With --dirty-cache, what is in the page cache of the file: its end. */
#define CACHED (64UL * 1024)

enum wait_by {
	BY_FALLOCATE,
	BY_FTRUNCATE,
	BY_FREEZE,
};

struct options {
	const char *path;
	unsigned long rounds;
	unsigned long depth;
	enum wait_by wait_by;
	bool dirty_cache;
	bool dsync;
	bool command;
};

struct state {
	struct options options;
	struct io_uring ring;
	int fd;
	/* The file, opened for buffered I/O. */
	int cached_fd;
	__u64 size;
	/* The part of it that is written to. */
	__u64 end;
	/* Where the next write goes to. */
	__u64 offset;
	/* Up to where the file is allocated. */
	__u64 allocated;
	char *data;
};

static const struct option long_options[] = {
	{ "rounds", required_argument, NULL, 'r' },
	{ "depth", required_argument, NULL, 'd' },
	{ "ftruncate", no_argument, NULL, 't' },
	{ "freeze", no_argument, NULL, 'f' },
	{ "dirty-cache", no_argument, NULL, 'c' },
	{ "dsync", no_argument, NULL, 's' },
	{ "command", no_argument, NULL, 'u' },
	{ "help", no_argument, NULL, 'h' },
	{ }
};

static void usage(FILE *to)
{
	fputs("deadlock [OPTION]... FILE\n"
	      "\n"
	      "Overwrites FILE, which must exist and have a size.\n"
	      "\n"
	      "  --rounds=N     (100000)\n"
	      "  --depth=N      writes under way at a time (1)\n"
	      "  --ftruncate    wait for them by ftruncate(), to the size the file has\n"
	      "  --freeze       wait for them by freezing the file system, and thaw it\n"
	      "  --dirty-cache  keep a part of the file in the page cache\n"
	      "  --dsync        durable writes\n"
	      "  --command      write by commands, to a file of a diofs\n", to);
}

static struct options parse(int argc, char **argv)
{
	struct options options = { .rounds = 100000, .depth = 1 };
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (option) {
		case 'r':
			options.rounds = number(optarg, 1, 1UL << 40);
			break;
		case 'd':
			options.depth = number(optarg, 1, MAX_DEPTH);
			break;
		case 't':
			options.wait_by = BY_FTRUNCATE;
			break;
		case 'f':
			options.wait_by = BY_FREEZE;
			break;
		case 'c':
			options.dirty_cache = true;
			break;
		case 's':
			options.dsync = true;
			break;
		case 'u':
			options.command = true;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			usage(stderr);
			exit(2);
		}
	}
	if (optind != argc - 1) {
		usage(stderr);
		exit(2);
	}
	options.path = argv[optind];
	return options;
}

/* Report what went wrong, as an errno or negated one. */
static int failed(const char *what, int err)
{
	fprintf(stderr, "deadlock: %s: %s\n", what, strerror(abs(err)));
	return -1;
}

static int set_up(struct state *state)
{
	struct stat st;
	int ret;

	state->fd = open(state->options.path, O_RDWR | O_DIRECT);
	if (state->fd < 0 || fstat(state->fd, &st))
		return failed(state->options.path, errno);
	state->size = st.st_size;
	if (state->size < CACHED + BLOCK)
		return failed(state->options.path, ENOSPC);
	state->end = state->size - CACHED;
	state->cached_fd = -1;
	if (state->options.dirty_cache) {
		state->cached_fd = open(state->options.path, O_RDWR);
		if (state->cached_fd < 0)
			return failed(state->options.path, errno);
	}
	state->data = aligned_alloc(BLOCK, BLOCK);
	if (!state->data)
		return failed("memory", ENOMEM);
	memset(state->data, 0x5a, BLOCK);
	ret = io_uring_queue_init(state->options.depth, &state->ring, 0);
	return ret ? failed("io_uring", ret) : 0;
}

static void tear_down(struct state *state)
{
	io_uring_queue_exit(&state->ring);
	free(state->data);
	if (state->cached_fd >= 0)
		close(state->cached_fd);
	close(state->fd);
}

/*
 * Have pages in the cache, one of them dirty, but none where the writes go:
 * to know that, a file system may have to look when they are over.
 */
static int fill_cache(struct state *state)
{
	static char buf[CACHED];
	ssize_t ret;

	ret = pread(state->cached_fd, buf, CACHED, state->end);
	if (ret < 0)
		return failed("buffered read", errno);
	ret = pwrite(state->cached_fd, buf, BLOCK, state->end);
	if (ret < 0)
		return failed("buffered write", errno);
	return 0;
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

static int submit(struct state *state)
{
	struct io_uring_sqe *sqe;
	unsigned long i;
	int ret;

	for (i = 0; i < state->options.depth; i++) {
		sqe = io_uring_get_sqe(&state->ring);
		if (!sqe)
			return failed("io_uring_get_sqe", EBUSY);
		prep_write(state, sqe);
		state->offset += BLOCK;
		if (state->offset + BLOCK > state->end)
			state->offset = 0;
	}
	ret = io_uring_submit(&state->ring);
	if (ret < 0 || (unsigned long)ret != state->options.depth)
		return failed("io_uring_submit", ret < 0 ? ret : EIO);
	return 0;
}

/* The call that sleeps until the writes are over. */
static int wait_in_kernel(struct state *state)
{
	switch (state->options.wait_by) {
	case BY_FALLOCATE:
		state->allocated += BLOCK;
		if (state->allocated > state->size)
			state->allocated = BLOCK;
		if (fallocate(state->fd, 0, 0, state->allocated))
			return failed("fallocate", errno);
		return 0;
	case BY_FTRUNCATE:
		if (ftruncate(state->fd, state->size))
			return failed("ftruncate", errno);
		return 0;
	case BY_FREEZE:
		if (ioctl(state->fd, FIFREEZE, 0))
			return failed("FIFREEZE", errno);
		if (ioctl(state->fd, FITHAW, 0))
			return failed("FITHAW", errno);
		return 0;
	}
	return -1;
}

static int reap(struct state *state)
{
	struct io_uring_cqe *cqe;
	unsigned long i;
	int ret;

	for (i = 0; i < state->options.depth; i++) {
		do {
			ret = io_uring_wait_cqe(&state->ring, &cqe);
		} while (ret == -EINTR);
		if (ret)
			return failed("io_uring_wait_cqe", ret);
		ret = cqe->res;
		io_uring_cqe_seen(&state->ring, cqe);
		if (ret != BLOCK)
			return failed("write", ret < 0 ? ret : EIO);
	}
	return 0;
}

static int run(struct state *state)
{
	unsigned long i;

	for (i = 0; i < state->options.rounds; i++) {
		if (state->options.dirty_cache && fill_cache(state))
			return -1;
		if (submit(state) || wait_in_kernel(state) || reap(state)) {
			fprintf(stderr, "deadlock: failed in round %lu\n", i);
			return -1;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct state state = { .options = parse(argc, argv) };
	int ret;

	if (set_up(&state))
		return 1;
	ret = run(&state);
	tear_down(&state);
	if (ret)
		return 1;
	printf("deadlock: none in %lu rounds of %lu writes\n", state.options.rounds,
	       state.options.depth);
	return 0;
}
