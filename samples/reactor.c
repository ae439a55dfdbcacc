// SPDX-License-Identifier: GPL-2.0
/*
 * A thread that never sleeps: it looks for completions, computes, and looks again.
 *
 * It keeps some transfers of 4 KiB under way, at random places of a file, until
 * it gets SIGTERM. Then it tells, as JSON, how long they took from submission
 * until they were seen.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
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

#include "command.h"
#include "number.h"

#define BLOCK 4096UL
#define MAX_DEPTH 64UL

struct options {
	const char *path;
	unsigned long depth;
	/* between two looks, in ns */
	unsigned long compute;
	/* of the part of the file that is used, in bytes */
	unsigned long size;
	bool poll;
	bool read;
	bool command;
};

/* A transfer, which is one of as many as the queue is deep. */
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
	/* How many were seen, and how long they took, in ns */
	__u64 seen;
	__u64 sum;
	__u64 max;
};

static atomic_bool is_over;

static const struct option long_options[] = {
	{ "depth", required_argument, NULL, 'd' },
	{ "compute", required_argument, NULL, 'n' },
	{ "size", required_argument, NULL, 's' },
	{ "poll", no_argument, NULL, 'p' },
	{ "read", no_argument, NULL, 'r' },
	{ "command", no_argument, NULL, 'u' },
	{ "help", no_argument, NULL, 'h' },
	{ }
};

static void usage(FILE *to)
{
	fputs("reactor [OPTION]... FILE\n"
	      "\n"
	      "Overwrites FILE, with direct I/O, until it is terminated.\n"
	      "\n"
	      "  --depth=N    transfers under way at a time (1)\n"
	      "  --compute=N  nanoseconds between two looks for completions (0)\n"
	      "  --size=N     bytes of the file that are used (1 MiB)\n"
	      "  --poll       poll for completions (IORING_SETUP_IOPOLL)\n"
	      "  --read       read instead\n"
	      "  --command    transfer by commands, for which FILE must lie on a diofs\n",
	      to);
}

static struct options parse(int argc, char **argv)
{
	struct options options = { .depth = 1, .size = 1UL << 20 };
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (option) {
		case 'd':
			options.depth = number(optarg, 0, MAX_DEPTH);
			break;
		case 'n':
			options.compute = number(optarg, 0, 1000000000);
			break;
		case 's':
			options.size = number(optarg, 0, 1UL << 40);
			break;
		case 'p':
			options.poll = true;
			break;
		case 'r':
			options.read = true;
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
	if (optind != argc - 1 || !options.depth || options.size < BLOCK) {
		usage(stderr);
		exit(2);
	}
	options.path = argv[optind];
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

static void fail(const char *what, int err)
{
	fprintf(stderr, "reactor: %s: %s\n", what, strerror(abs(err)));
	exit(1);
}

static void set_up(struct reactor *reactor)
{
	const struct options *options = &reactor->options;
	unsigned long i;
	int ret;

	reactor->random = 1;
	reactor->fd = open(options->path, O_RDWR | O_DIRECT);
	if (reactor->fd < 0)
		fail(options->path, errno);
	ret = io_uring_queue_init(MAX_DEPTH, &reactor->ring,
				  options->poll ? IORING_SETUP_IOPOLL : 0);
	if (ret)
		fail("io_uring", ret);
	for (i = 0; i < options->depth; i++) {
		reactor->transfers[i].memory = aligned_alloc(BLOCK, BLOCK);
		if (!reactor->transfers[i].memory)
			fail("memory", ENOMEM);
		memset(reactor->transfers[i].memory, (int)i, BLOCK);
	}
	signal(SIGTERM, on_term);
}

/* Where the next transfer goes to */
static __u64 next_position(struct reactor *reactor)
{
	/* a linear congruential generator, of which the high bits are taken */
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
		fail("io_uring_submit", ret);
}

static void see(struct reactor *reactor, struct io_uring_cqe *cqe)
{
	struct transfer *transfer = io_uring_cqe_get_data(cqe);
	__u64 took = now() - transfer->submitted;
	int result = cqe->res;

	io_uring_cqe_seen(&reactor->ring, cqe);
	if (result != (int)BLOCK)
		fail("transfer", result < 0 ? result : EIO);
	reactor->seen++;
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

/* Every look is a system call if polling is, and else one at memory only. */
static void run(struct reactor *reactor)
{
	struct io_uring_cqe *cqe;
	unsigned long i;

	for (i = 0; i < reactor->options.depth; i++)
		submit(reactor, &reactor->transfers[i]);
	while (!is_over) {
		while (!is_over && !io_uring_peek_cqe(&reactor->ring, &cqe))
			see(reactor, cqe);
		compute(reactor->options.compute);
	}
}

int main(int argc, char **argv)
{
	static struct reactor reactor;

	reactor.options = parse(argc, argv);
	set_up(&reactor);
	run(&reactor);
	/* Waits for what is under way. */
	io_uring_queue_exit(&reactor.ring);
	printf("{\"error\": 0, \"seen\": %llu, \"mean\": %llu, \"max\": %llu}\n", reactor.seen,
	       reactor.seen ? reactor.sum / reactor.seen : 0, reactor.max);
	return 0;
}
