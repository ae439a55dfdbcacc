// SPDX-License-Identifier: GPL-2.0
/*
 * Reads and writes a file of a diofs by io_uring commands.
 *
 * Each round writes some blocks and reads them back, in plain memory and in
 * registered memory by turns. Every word of the data is made of its round and
 * position, and is compared.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "cli.h"
#include "command.h"

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
	/* How many positions there are for the blocks of a round */
	__u64 places;
	/* The blocks of a round, registered as one buffer */
	char *data;
	/* The two kinds of memory take turns, so that no data is right twice. */
	unsigned long round;
};

static bool is_registered(const struct state *state)
{
	return state->round & 1;
}

static struct options parse(int argc, char **argv)
{
	struct options options = { };
	const struct cli_option table[] = {
		CLI_NUMBER("rounds", &options.rounds, 100, 1, 1UL << 40,
			   "rounds with each kind of memory"),
		CLI_NUMBER("depth", &options.depth, 8, 1, MAX_DEPTH,
			   "commands in flight at a time"),
		CLI_NUMBER("block", &options.block, PAGE, 1, MAX_BLOCK, "bytes of each command"),
		CLI_BITS("poll", &options.ring_flags, IORING_SETUP_IOPOLL,
			 "poll for completions (IORING_SETUP_IOPOLL)"),
		CLI_BITS("sqpoll", &options.ring_flags, IORING_SETUP_SQPOLL,
			 "submit by a kernel thread (IORING_SETUP_SQPOLL)"),
		CLI_BITS("defer", &options.ring_flags,
			 IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER,
			 "run task work only when waiting (IORING_SETUP_DEFER_TASKRUN)"),
		CLI_BITS("dsync", &options.write_flags, RNULL_DIO_DSYNC, "durable writes"),
		{ }
	};

	options.path = cli_parse(argc, argv, "Overwrites FILE, which must be on a diofs.", table);
	return options;
}

/* The bytes of a round */
static size_t length(const struct state *state)
{
	return state->options.depth * state->options.block;
}

static void set_up_memory(struct state *state)
{
	size_t size = (length(state) + PAGE - 1) & ~(PAGE - 1);
	struct iovec iov = { .iov_len = size };
	int ret;

	state->data = aligned_alloc(PAGE, size);
	if (!state->data)
		fail(ENOMEM, "memory");
	memset(state->data, 0, size);
	iov.iov_base = state->data;
	ret = io_uring_register_buffers(&state->ring, &iov, 1);
	if (ret)
		fail(ret, "io_uring_register_buffers");
}

static void set_up(struct state *state)
{
	const struct options *options = &state->options;
	struct stat st;
	int ret;

	state->fd = open(options->path, O_RDWR | O_DIRECT);
	if (state->fd < 0 || fstat(state->fd, &st))
		fail(errno, "%s", options->path);
	state->places = st.st_size / options->block / options->depth;
	if (!state->places)
		fail(ENOSPC, "%s", options->path);
	ret = io_uring_queue_init(options->depth, &state->ring, options->ring_flags);
	if (ret)
		fail(ret, "io_uring_queue_init");
	set_up_memory(state);
}

static void tear_down(struct state *state)
{
	io_uring_queue_exit(&state->ring);
	free(state->data);
	close(state->fd);
}

/* The position of a round's blocks in the file */
static __u64 position(const struct state *state)
{
	return state->round % state->places * length(state);
}

/* The word at @pos after the current round */
static __u64 expected(const struct state *state, __u64 pos)
{
	return (__u64)state->round << 40 ^ pos;
}

static void fill(struct state *state)
{
	__u64 pos = position(state);
	__u64 word;
	size_t at;

	for (at = 0; at < length(state); at += sizeof(word)) {
		word = expected(state, pos + at);
		memcpy(state->data + at, &word, sizeof(word));
	}
}

static void compare(const struct state *state)
{
	__u64 pos = position(state);
	__u64 word;
	size_t at;

	for (at = 0; at < length(state); at += sizeof(word)) {
		memcpy(&word, state->data + at, sizeof(word));
		if (word != expected(state, pos + at))
			fail(EILSEQ, "round %lu: data at %llu", state->round, pos + at);
	}
}

static void reap(struct state *state)
{
	unsigned long i;
	int ret;

	for (i = 0; i < state->options.depth; i++) {
		ret = wait_result(&state->ring);
		if (ret < 0 || (unsigned long)ret != state->options.block)
			fail(ret < 0 ? ret : EIO, "round %lu: command", state->round);
	}
}

/* Transfer the blocks of a round, and wait for all of them. */
static void transfer(struct state *state, __u32 op, __u32 flags)
{
	const unsigned long block = state->options.block;
	struct io_uring_sqe *sqe;
	unsigned long i;
	int ret;

	for (i = 0; i < state->options.depth; i++) {
		while (!(sqe = io_uring_get_sqe(&state->ring)))
			io_uring_sqring_wait(&state->ring);
		prep_command(sqe, op, state->fd, state->data + i * block, block,
			     position(state) + i * block, flags);
		if (is_registered(state))
			use_registered(sqe, 0);
	}
	ret = io_uring_submit(&state->ring);
	if (ret < 0)
		fail(ret, "round %lu: io_uring_submit", state->round);
	reap(state);
}

static void run_round(struct state *state)
{
	fill(state);
	transfer(state, RNULL_DIO_URING_CMD_WRITE, state->options.write_flags);
	memset(state->data, 0, length(state));
	transfer(state, RNULL_DIO_URING_CMD_READ, 0);
	compare(state);
}

int main(int argc, char **argv)
{
	struct state state = { .options = parse(argc, argv) };

	set_up(&state);
	for (; state.round < 2 * state.options.rounds; state.round++)
		run_round(&state);
	tear_down(&state);
	printf("uring_cmd: %lu rounds of %lu writes and reads, plain and registered\n",
	       state.options.rounds, state.options.depth);
	return 0;
}
