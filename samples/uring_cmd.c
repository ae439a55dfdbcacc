// SPDX-License-Identifier: GPL-2.0
/*
 * Reads and writes a file of a diofs by commands of io_uring.
 *
 * Each round writes some blocks and reads them back, in plain and then in
 * registered memory. Every word of the data tells when and where it was written,
 * and is compared.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <liburing.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "command.h"
#include "number.h"

#define PAGE 4096UL
#define MAX_DEPTH 1024UL
#define MAX_BLOCK (256 * PAGE)

struct options {
	const char *path;
	unsigned long rounds;
	unsigned long depth;
	unsigned long block;
	unsigned int ring_flags;
	__u32 write_flags;
};

struct state {
	struct options options;
	struct io_uring ring;
	int fd;
	/* How many places there are for the blocks of a round. */
	__u64 places;
	/* The blocks of a round, registered as one buffer. */
	char *data;
};

static const struct option long_options[] = {
	{ "rounds", required_argument, NULL, 'r' },
	{ "depth", required_argument, NULL, 'd' },
	{ "block", required_argument, NULL, 'b' },
	{ "poll", no_argument, NULL, 'p' },
	{ "sqpoll", no_argument, NULL, 'q' },
	{ "defer", no_argument, NULL, 't' },
	{ "dsync", no_argument, NULL, 's' },
	{ "help", no_argument, NULL, 'h' },
	{ }
};

static void usage(FILE *to)
{
	fputs("uring_cmd [OPTION]... FILE\n"
	      "\n"
	      "Overwrites FILE, which must lie on a diofs.\n"
	      "\n"
	      "  --rounds=N  with each kind of memory (100)\n"
	      "  --depth=N   commands under way at a time (8)\n"
	      "  --block=N   bytes of each (4096)\n"
	      "  --poll      poll for completions (IORING_SETUP_IOPOLL)\n"
	      "  --sqpoll    let a thread of the kernel submit (IORING_SETUP_SQPOLL)\n"
	      "  --defer     run task work when waiting only (IORING_SETUP_DEFER_TASKRUN)\n"
	      "  --dsync     durable writes\n", to);
}

static struct options parse(int argc, char **argv)
{
	struct options options = { .rounds = 100, .depth = 8, .block = PAGE };
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (option) {
		case 'r':
			options.rounds = number(optarg, 1, 1UL << 40);
			break;
		case 'd':
			options.depth = number(optarg, 1, MAX_DEPTH);
			break;
		case 'b':
			options.block = number(optarg, 1, MAX_BLOCK);
			break;
		case 'p':
			options.ring_flags |= IORING_SETUP_IOPOLL;
			break;
		case 'q':
			options.ring_flags |= IORING_SETUP_SQPOLL;
			break;
		case 't':
			options.ring_flags |= IORING_SETUP_DEFER_TASKRUN |
					      IORING_SETUP_SINGLE_ISSUER;
			break;
		case 's':
			options.write_flags |= RNULL_DIO_DSYNC;
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
	fprintf(stderr, "uring_cmd: %s: %s\n", what, strerror(abs(err)));
	return -1;
}

static int set_up_memory(struct state *state)
{
	size_t length = state->options.depth * state->options.block;
	struct iovec iov;
	int ret;

	length = (length + PAGE - 1) & ~(PAGE - 1);
	state->data = aligned_alloc(PAGE, length);
	if (!state->data)
		return failed("memory", ENOMEM);
	memset(state->data, 0, length);
	iov.iov_base = state->data;
	iov.iov_len = length;
	ret = io_uring_register_buffers(&state->ring, &iov, 1);
	return ret ? failed("io_uring_register_buffers", ret) : 0;
}

static int set_up(struct state *state)
{
	const struct options *options = &state->options;
	struct stat st;
	int ret;

	state->fd = open(options->path, O_RDWR | O_DIRECT);
	if (state->fd < 0 || fstat(state->fd, &st))
		return failed(options->path, errno);
	state->places = st.st_size / options->block / options->depth;
	if (!state->places)
		return failed(options->path, ENOSPC);
	ret = io_uring_queue_init(options->depth, &state->ring, options->ring_flags);
	if (ret)
		return failed("io_uring", ret);
	return set_up_memory(state);
}

static void tear_down(struct state *state)
{
	io_uring_queue_exit(&state->ring);
	free(state->data);
	close(state->fd);
}

/* What is in a word of the file after a round. */
static __u64 expected(unsigned long round, __u64 pos)
{
	return (__u64)round << 40 ^ pos;
}

static __u64 position(const struct state *state, unsigned long round)
{
	__u64 place = round % state->places;

	return place * state->options.depth * state->options.block;
}

static void fill(struct state *state, unsigned long round)
{
	size_t length = state->options.depth * state->options.block;
	__u64 pos = position(state, round);
	__u64 word;
	size_t at;

	for (at = 0; at < length; at += sizeof(word)) {
		word = expected(round, pos + at);
		memcpy(state->data + at, &word, sizeof(word));
	}
}

static int compare(const struct state *state, unsigned long round)
{
	size_t length = state->options.depth * state->options.block;
	__u64 pos = position(state, round);
	__u64 word;
	size_t at;

	for (at = 0; at < length; at += sizeof(word)) {
		memcpy(&word, state->data + at, sizeof(word));
		if (word != expected(round, pos + at)) {
			fprintf(stderr, "uring_cmd: wrong data at %llu\n", pos + at);
			return -1;
		}
	}
	return 0;
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
		if (ret < 0 || (unsigned long)ret != state->options.block)
			return failed("command", ret < 0 ? ret : EIO);
	}
	return 0;
}

/* Transfer the blocks of a round, and wait for all of them. */
static int transfer(struct state *state, __u32 op, __u32 flags, bool registered,
		    unsigned long round)
{
	const unsigned long block = state->options.block;
	struct io_uring_sqe *sqe;
	unsigned long i;
	int ret;

	for (i = 0; i < state->options.depth; i++) {
		while (!(sqe = io_uring_get_sqe(&state->ring)))
			io_uring_sqring_wait(&state->ring);
		prep_command(sqe, op, state->fd, state->data + i * block, block,
			     position(state, round) + i * block, flags);
		if (registered)
			use_registered(sqe, 0);
	}
	ret = io_uring_submit(&state->ring);
	if (ret < 0)
		return failed("io_uring_submit", ret);
	return reap(state);
}

static int run_round(struct state *state, bool registered, unsigned long round)
{
	fill(state, round);
	if (transfer(state, RNULL_DIO_URING_CMD_WRITE, state->options.write_flags,
		     registered, round))
		return -1;
	memset(state->data, 0, state->options.depth * state->options.block);
	if (transfer(state, RNULL_DIO_URING_CMD_READ, 0, registered, round))
		return -1;
	return compare(state, round);
}

static int run(struct state *state)
{
	unsigned long i;

	/* The two kinds of memory take turns, so that no data fits twice. */
	for (i = 0; i < 2 * state->options.rounds; i++) {
		if (run_round(state, i & 1, i)) {
			fprintf(stderr, "uring_cmd: failed in round %lu, %s memory\n",
				i / 2, i & 1 ? "registered" : "plain");
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
	printf("uring_cmd: %lu rounds of %lu writes and reads, plain and registered\n",
	       state.options.rounds, state.options.depth);
	return 0;
}
