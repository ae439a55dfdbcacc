// SPDX-License-Identifier: GPL-2.0
/*
 * Direct I/O whose issuer does not wait for it.
 *
 * Submits io_uring writes and goes away while they are under way, in one of
 * several ways. What is left to do for them cannot be left to their issuer
 * then, and has to be done all the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <liburing.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "number.h"

#define BLOCK 4096UL
#define MAX_WRITES 1024UL

struct options {
	const char *path;
	const char *how;
	unsigned long writes;
	unsigned long rounds;
	unsigned int setup;
};

static const struct option long_options[] = {
	{ "how", required_argument, NULL, 'w' },
	{ "writes", required_argument, NULL, 'n' },
	{ "rounds", required_argument, NULL, 'r' },
	{ "defer-taskrun", no_argument, NULL, 'd' },
	{ "help", no_argument, NULL, 'h' },
	{ }
};

static void usage(FILE *to)
{
	fputs("abandon [OPTION]... FILE\n"
	      "\n"
	      "Overwrites FILE, which must exist and have a size.\n"
	      "\n"
	      "  --how=exit        the task exits (default)\n"
	      "  --how=kill        the task is killed\n"
	      "  --how=exec        the task executes another program\n"
	      "  --how=close       the task closes the ring and goes on\n"
	      "  --how=thread      the thread that has submitted exits, others wait\n"
	      "  --writes=N        writes under way at a time (32)\n"
	      "  --rounds=N        (100)\n"
	      "  --defer-taskrun   a ring with IORING_SETUP_DEFER_TASKRUN\n", to);
}

static void fail(const char *what, int err)
{
	fprintf(stderr, "abandon: %s: %s\n", what, strerror(err));
	exit(1);
}

static bool is_one_of(const char *how)
{
	static const char *const ways[] = { "exit", "kill", "exec", "close", "thread", NULL };
	const char *const *way;

	for (way = ways; *way; way++)
		if (!strcmp(how, *way))
			return true;
	return false;
}

static struct options parse(int argc, char **argv)
{
	struct options options = { .how = "exit", .writes = 32, .rounds = 100 };
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (option) {
		case 'w':
			options.how = optarg;
			break;
		case 'n':
			options.writes = number(optarg, 1, MAX_WRITES);
			break;
		case 'r':
			options.rounds = number(optarg, 1, 1UL << 30);
			break;
		case 'd':
			options.setup |= IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			usage(stderr);
			exit(2);
		}
	}
	if (optind + 1 != argc || !is_one_of(options.how)) {
		usage(stderr);
		exit(2);
	}
	options.path = argv[optind];
	return options;
}

/* Each block tells where it belongs, and in which round it was written. */
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
		fail("io_uring_queue_init", -ret);
	for (i = 0; i < options->writes; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

		io_uring_prep_write(sqe, fd, data + i * BLOCK, BLOCK, i * BLOCK);
	}
	ret = io_uring_submit(ring);
	if (ret != (int)options->writes)
		fail("io_uring_submit", ret < 0 ? -ret : EIO);
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
	/* The ring stays open, the task that it belongs to does not. */
	return NULL;
}

static void abandon_in_thread(struct job *job)
{
	pthread_t thread;
	int ret;

	ret = pthread_create(&thread, NULL, submit_in_thread, job);
	if (ret)
		fail("pthread_create", ret);
	pthread_join(thread, NULL);
}

/* Does not return. */
static void child(const struct options *options, int fd, char *data)
{
	struct job job = { options, fd, data };
	struct io_uring ring;

	if (!strcmp(options->how, "thread")) {
		abandon_in_thread(&job);
		_exit(0);
	}
	submit(options, &ring, fd, data);
	if (!strcmp(options->how, "kill"))
		kill(getpid(), SIGKILL);
	else if (!strcmp(options->how, "exec"))
		execl("/bin/true", "true", (char *)NULL);
	else if (!strcmp(options->how, "close"))
		io_uring_queue_exit(&ring);
	_exit(0);
}

static void run_round(const struct options *options, int fd, char *data)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		fail("fork", errno);
	if (!pid)
		child(options, fd, data);
	if (waitpid(pid, &status, 0) != pid)
		fail("waitpid", errno);
	if (WIFSIGNALED(status) && strcmp(options->how, "kill"))
		fail("the task was killed", ECANCELED);
	if (WIFEXITED(status) && WEXITSTATUS(status))
		exit(WEXITSTATUS(status));
}

/* Everything that was submitted before is over when this returns. */
static void settle(int fd)
{
	struct stat stat;

	if (fstat(fd, &stat) || ftruncate(fd, stat.st_size))
		fail("ftruncate", errno);
}

static void compare(const struct options *options, int fd, char *data, char *back)
{
	ssize_t len = options->writes * BLOCK;

	if (pread(fd, back, len, 0) != len)
		fail("pread", errno);
	if (memcmp(data, back, len))
		fail("the data is not what was written", EILSEQ);
}

int main(int argc, char **argv)
{
	struct options options = parse(argc, argv);
	unsigned long round;
	char *data, *back;
	int fd;

	fd = open(options.path, O_RDWR | O_DIRECT);
	if (fd < 0)
		fail(options.path, errno);
	if (posix_memalign((void **)&data, BLOCK, options.writes * BLOCK) ||
	    posix_memalign((void **)&back, BLOCK, options.writes * BLOCK))
		fail("posix_memalign", ENOMEM);
	for (round = 0; round < options.rounds; round++) {
		fill(data, options.writes, round);
		run_round(&options, fd, data);
		settle(fd);
		compare(&options, fd, data, back);
	}
	printf("abandon: %lu rounds of %lu writes, --how=%s, all there\n", options.rounds,
	       options.writes, options.how);
	return 0;
}
