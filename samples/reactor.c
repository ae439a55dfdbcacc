// SPDX-License-Identifier: GPL-2.0
/*
 * A thread that never sleeps: it polls for completions, computes, and polls again.
 *
 * It keeps a number of 4 KiB transfers in flight, at random positions of a file,
 * until it gets SIGTERM. Then it prints, as JSON, the time from submission until
 * the completion was reaped.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/types.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "command.h"

#define BLOCK 4096UL
#define MAX_DEPTH 64UL

struct options {
	const char *path;
	unsigned long depth;
	/* between two polls, in ns */
	unsigned long compute;
	/* of the part of the file that is used, in bytes */
	unsigned long size;
	bool poll;
	bool read;
	bool command;
};

/* One of the --depth transfers in flight. */
struct transfer {
	__u64 submitted;
	char *memory;
};

struct reactor {
	struct options options;
	struct io_uring ring;
	int fd;
	struct transfer transfers[MAX_DEPTH];
	__u64 random;
	/* How many were reaped, and how long they took, in ns */
	__u64 reaped;
	__u64 sum;
	__u64 max;
};

static atomic_bool is_over;

static struct options parse(int argc, char **argv)
{
	struct options options = { };
	const struct cli_option table[] = {
		CLI_NUMBER("depth", &options.depth, 1, 1, MAX_DEPTH,
			   "transfers in flight at a time"),
		CLI_NUMBER("compute", &options.compute, 0, 0, 1000000000,
			   "nanoseconds to compute between two polls"),
		CLI_NUMBER("size", &options.size, 1UL << 20, BLOCK, 1UL << 40,
			   "bytes at the start of the file that are used"),
		CLI_SWITCH("poll", &options.poll, "poll for completions (IORING_SETUP_IOPOLL)"),
		CLI_SWITCH("read", &options.read, "read instead"),
		CLI_SWITCH("command", &options.command,
			   "transfer by commands; FILE must be on a diofs"),
		{ }
	};

	options.path = cli_parse(argc, argv,
				 "Overwrites FILE, by direct I/O, until it gets SIGTERM.", table);
	return options;
}

static void on_term(int signal)
{
	(void)signal;
	is_over = true;
}

static __u64 now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static void set_up(struct reactor *reactor)
{
	const struct options *options = &reactor->options;
	unsigned long i;
	int ret;

	reactor->random = 1;
	reactor->fd = open(options->path, O_RDWR | O_DIRECT);
	if (reactor->fd < 0)
		fail(errno, "%s", options->path);
	ret = io_uring_queue_init(MAX_DEPTH, &reactor->ring,
				  options->poll ? IORING_SETUP_IOPOLL : 0);
	if (ret)
		fail(ret, "io_uring");
	for (i = 0; i < options->depth; i++) {
		reactor->transfers[i].memory = aligned_alloc(BLOCK, BLOCK);
		if (!reactor->transfers[i].memory)
			fail(ENOMEM, "memory");
		memset(reactor->transfers[i].memory, (int)i, BLOCK);
	}
	signal(SIGTERM, on_term);
}

/* The position of the next transfer */
static __u64 next_position(struct reactor *reactor)
{
	/* a linear congruential generator, whose high bits are used */
	reactor->random = reactor->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return (reactor->random >> 33) % (reactor->options.size / BLOCK) * BLOCK;
}

static void submit(struct reactor *reactor, struct transfer *transfer)
{
	const struct options *options = &reactor->options;
	struct io_uring_sqe *sqe = io_uring_get_sqe(&reactor->ring);
	__u64 position = next_position(reactor);
	int ret;

	if (options->command)
		prep_command(sqe,
			     options->read ? RNULL_DIO_URING_CMD_READ :
					     RNULL_DIO_URING_CMD_WRITE,
			     reactor->fd, transfer->memory, BLOCK, position, 0);
	else if (options->read)
		io_uring_prep_read(sqe, reactor->fd, transfer->memory, BLOCK, position);
	else
		io_uring_prep_write(sqe, reactor->fd, transfer->memory, BLOCK, position);
	io_uring_sqe_set_data(sqe, transfer);
	transfer->submitted = now();
	ret = io_uring_submit(&reactor->ring);
	if (ret != 1)
		fail(ret, "io_uring_submit");
}

static void reap(struct reactor *reactor, struct io_uring_cqe *cqe)
{
	struct transfer *transfer = io_uring_cqe_get_data(cqe);
	__u64 took = now() - transfer->submitted;
	int result = cqe->res;

	io_uring_cqe_seen(&reactor->ring, cqe);
	if (result != (int)BLOCK)
		fail(result < 0 ? result : EIO, "transfer");
	reactor->reaped++;
	reactor->sum += took;
	if (took > reactor->max)
		reactor->max = took;
	if (!is_over)
		submit(reactor, transfer);
}

static void compute(unsigned long ns)
{
	__u64 end = now() + ns;

	while (ns && now() < end)
		;
}

/* With --poll, io_uring_peek_cqe() enters the kernel; otherwise it only reads memory. */
static void run(struct reactor *reactor)
{
	struct io_uring_cqe *cqe;
	unsigned long i;

	for (i = 0; i < reactor->options.depth; i++)
		submit(reactor, &reactor->transfers[i]);
	while (!is_over) {
		while (!is_over && !io_uring_peek_cqe(&reactor->ring, &cqe))
			reap(reactor, cqe);
		compute(reactor->options.compute);
	}
}

int main(int argc, char **argv)
{
	static struct reactor reactor;

	reactor.options = parse(argc, argv);
	set_up(&reactor);
	run(&reactor);
	/* Waits for the transfers in flight. */
	io_uring_queue_exit(&reactor.ring);
	printf("{\"error\": 0, \"seen\": %llu, \"mean\": %llu, \"max\": %llu}\n", reactor.reaped,
	       reactor.reaped ? reactor.sum / reactor.reaped : 0, reactor.max);
	return 0;
}
