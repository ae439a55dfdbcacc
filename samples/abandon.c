// SPDX-License-Identifier: GPL-2.0
/*
 * Direct I/O whose issuer does not wait for it.
 *
 * The issuer submits io_uring writes and goes away while they are in flight, in
 * one of several ways. Their completions cannot be deferred to it, so the kernel
 * must run them elsewhere. The data is compared at the end of each round.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"

#define BLOCK 4096UL
#define MAX_WRITES 1024UL

enum how {
	BY_EXIT,
	BY_KILL,
	BY_EXEC,
	BY_CLOSE,
	BY_THREAD,
};

static const struct cli_choice ways[] = {
	[BY_EXIT] = { "exit", "the task exits" },
	[BY_KILL] = { "kill", "the task is killed" },
	[BY_EXEC] = { "exec", "the task executes another program" },
	[BY_CLOSE] = { "close", "the task closes the ring and continues" },
	[BY_THREAD] = { "thread", "the submitting thread exits, the process waits" },
	{ }
};

struct options {
	const char *path;
	unsigned int how;
	unsigned long writes;
	unsigned long rounds;
	unsigned int setup;
};

static struct options parse(int argc, char **argv)
{
	struct options options = { };
	const struct cli_option table[] = {
		CLI_CHOICE("how", &options.how, ways),
		CLI_NUMBER("writes", &options.writes, 32, 1, MAX_WRITES,
			   "writes in flight at a time"),
		CLI_NUMBER("rounds", &options.rounds, 100, 1, 1UL << 30, "rounds"),
		CLI_BITS("defer-taskrun", &options.setup,
			 IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
			 "a ring with IORING_SETUP_DEFER_TASKRUN"),
		{ }
	};

	options.path = cli_parse(argc, argv,
				 "Overwrites FILE, which must exist and not be empty.", table);
	return options;
}

/* Each block holds its index and the round in which it was written. */
static void fill(char *data, unsigned long writes, unsigned long round)
{
	unsigned long i;

	for (i = 0; i < writes; i++) {
		memset(data + i * BLOCK, 0, BLOCK);
		snprintf(data + i * BLOCK, BLOCK, "round %lu block %lu", round, i);
	}
}

static void submit(const struct options *options, struct io_uring *ring, int fd, char *data)
{
	unsigned long i;
	int ret;

	ret = io_uring_queue_init(options->writes, ring, options->setup);
	if (ret)
		fail(-ret, "io_uring_queue_init");
	for (i = 0; i < options->writes; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

		io_uring_prep_write(sqe, fd, data + i * BLOCK, BLOCK, i * BLOCK);
	}
	ret = io_uring_submit(ring);
	if (ret != (int)options->writes)
		fail(ret < 0 ? -ret : EIO, "io_uring_submit");
}

struct job {
	const struct options *options;
	int fd;
	char *data;
};

static void *submit_in_thread(void *arg)
{
	struct job *job = arg;
	struct io_uring ring;

	submit(job->options, &ring, job->fd, job->data);
	/* The ring stays open after its task has exited. */
	return NULL;
}

static void abandon_in_thread(struct job *job)
{
	pthread_t thread;
	int ret;

	ret = pthread_create(&thread, NULL, submit_in_thread, job);
	if (ret)
		fail(ret, "pthread_create");
	pthread_join(thread, NULL);
}

/* Does not return. */
static void child(const struct options *options, int fd, char *data)
{
	struct job job = { options, fd, data };
	struct io_uring ring;

	if (options->how == BY_THREAD) {
		abandon_in_thread(&job);
		_exit(0);
	}
	submit(options, &ring, fd, data);
	if (options->how == BY_KILL)
		kill(getpid(), SIGKILL);
	else if (options->how == BY_EXEC)
		execl("/bin/true", "true", (char *)NULL);
	else if (options->how == BY_CLOSE)
		io_uring_queue_exit(&ring);
	_exit(0);
}

static void run_round(const struct options *options, int fd, char *data)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		fail(errno, "fork");
	if (!pid)
		child(options, fd, data);
	if (waitpid(pid, &status, 0) != pid)
		fail(errno, "waitpid");
	if (WIFSIGNALED(status) && options->how != BY_KILL)
		fail(ECANCELED, "the task was killed");
	if (WIFEXITED(status) && WEXITSTATUS(status))
		exit(WEXITSTATUS(status));
}

/* Wait for all direct I/O that was submitted before: ftruncate() does. */
static void settle(int fd)
{
	struct stat stat;

	if (fstat(fd, &stat) || ftruncate(fd, stat.st_size))
		fail(errno, "ftruncate");
}

static void compare(const struct options *options, int fd, char *data, char *back)
{
	ssize_t len = options->writes * BLOCK;

	if (pread(fd, back, len, 0) != len)
		fail(errno, "pread");
	if (memcmp(data, back, len))
		fail(EILSEQ, "the data is not what was written");
}

int main(int argc, char **argv)
{
	struct options options = parse(argc, argv);
	unsigned long round;
	char *data, *back;
	int fd;

	fd = open(options.path, O_RDWR | O_DIRECT);
	if (fd < 0)
		fail(errno, "%s", options.path);
	if (posix_memalign((void **)&data, BLOCK, options.writes * BLOCK) ||
	    posix_memalign((void **)&back, BLOCK, options.writes * BLOCK))
		fail(ENOMEM, "posix_memalign");
	for (round = 0; round < options.rounds; round++) {
		fill(data, options.writes, round);
		run_round(&options, fd, data);
		settle(fd);
		compare(&options, fd, data, back);
	}
	printf("abandon: %lu rounds of %lu writes, --how=%s, all there\n", options.rounds,
	       options.writes, ways[options.how].name);
	return 0;
}
