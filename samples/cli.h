/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Command lines: a table describes the options, and from it come the parser
 * and the usage text.
 */
#ifndef SAMPLES_CLI_H
#define SAMPLES_CLI_H

#include <errno.h>
#include <error.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLI_MAX_OPTIONS 16

enum cli_kind {
	CLI_KIND_NUMBER,
	CLI_KIND_SWITCH,
	CLI_KIND_BITS,
	CLI_KIND_VALUE,
	CLI_KIND_CHOICE,
};

/* One of the values that an option can have. */
struct cli_choice {
	const char *name;
	const char *help;
};

/* An option; see the CLI_* macros below for which kind uses which fields. */
struct cli_option {
	const char *name;
	const char *help;
	enum cli_kind kind;
	union {
		unsigned long *number;
		bool *flag;
		unsigned int *word;
	} to;
	unsigned long value;
	unsigned long min;
	unsigned long max;
	const struct cli_choice *choices;
};

/* --name=N: a number from @_min to @_max, with a default. */
#define CLI_NUMBER(_name, _to, _default, _min, _max, _help) \
	{ .name = (_name), .help = (_help), .kind = CLI_KIND_NUMBER, \
	  .to.number = (_to), .value = (_default), .min = (_min), .max = (_max) }
/* --name: sets a bool. */
#define CLI_SWITCH(_name, _to, _help) \
	{ .name = (_name), .help = (_help), .kind = CLI_KIND_SWITCH, .to.flag = (_to) }
/* --name: sets bits of a word. */
#define CLI_BITS(_name, _to, _bits, _help) \
	{ .name = (_name), .help = (_help), .kind = CLI_KIND_BITS, \
	  .to.word = (_to), .value = (_bits) }
/* --name: sets a word; the last one of several options for it counts. */
#define CLI_VALUE(_name, _to, _value, _help) \
	{ .name = (_name), .help = (_help), .kind = CLI_KIND_VALUE, \
	  .to.word = (_to), .value = (_value) }
/* --name=CHOICE: sets a word to the index of a choice, 0 by default. */
#define CLI_CHOICE(_name, _to, _choices) \
	{ .name = (_name), .kind = CLI_KIND_CHOICE, .to.word = (_to), \
	  .choices = (_choices) }

/**
 * fail - print an error and end the program with status 1
 * @err: an errno, or a negated one
 * @...: what was attempted, as for printf()
 */
#define fail(err, ...) error(EXIT_FAILURE, abs(err), __VA_ARGS__)

static inline bool cli_has_argument(const struct cli_option *option)
{
	return option->kind == CLI_KIND_NUMBER || option->kind == CLI_KIND_CHOICE;
}

/* Print an option and its help, without a newline. */
static inline void cli_usage_line(FILE *to, const char *name, const char *argument,
				  const char *help)
{
	int width = fprintf(to, "  --%s%s%s", name, *argument ? "=" : "", argument);

	fprintf(to, "%*s%s", width < 19 ? 19 - width : 1, "", help);
}

static inline void cli_usage_option(FILE *to, const struct cli_option *option)
{
	const struct cli_choice *choice;

	switch (option->kind) {
	case CLI_KIND_NUMBER:
		cli_usage_line(to, option->name, "N", option->help);
		fprintf(to, " (%lu)\n", option->value);
		break;
	case CLI_KIND_CHOICE:
		for (choice = option->choices; choice->name; choice++) {
			cli_usage_line(to, option->name, choice->name, choice->help);
			fputs(choice == option->choices ? " (default)\n" : "\n", to);
		}
		break;
	default:
		cli_usage_line(to, option->name, "", option->help);
		fputs("\n", to);
	}
}

/* Print the usage text, and end the program with @status. */
static inline void cli_usage(const char *summary, const struct cli_option *options,
			     int status)
{
	FILE *to = status ? stderr : stdout;

	fprintf(to, "%s [OPTION]... FILE\n\n%s\n\n", program_invocation_short_name, summary);
	for (; options->name; options++)
		cli_usage_option(to, options);
	exit(status);
}

static inline void cli_set_number(const struct cli_option *option, const char *text)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || *end || end == text || value < option->min || value > option->max) {
		fprintf(stderr, "%s: --%s: %s is not a number from %lu to %lu\n",
			program_invocation_short_name, option->name, text, option->min,
			option->max);
		exit(2);
	}
	*option->to.number = value;
}

/* Return whether @text is one of the choices. */
static inline bool cli_set_choice(const struct cli_option *option, const char *text)
{
	const struct cli_choice *choice;

	for (choice = option->choices; choice->name; choice++) {
		if (strcmp(choice->name, text))
			continue;
		*option->to.word = choice - option->choices;
		return true;
	}
	return false;
}

/* Apply an option; return whether its argument is valid. */
static inline bool cli_set(const struct cli_option *option, const char *argument)
{
	switch (option->kind) {
	case CLI_KIND_NUMBER:
		cli_set_number(option, argument);
		return true;
	case CLI_KIND_SWITCH:
		*option->to.flag = true;
		return true;
	case CLI_KIND_BITS:
		*option->to.word |= option->value;
		return true;
	case CLI_KIND_VALUE:
		*option->to.word = option->value;
		return true;
	case CLI_KIND_CHOICE:
		return cli_set_choice(option, argument);
	}
	return false;
}

/**
 * cli_parse - parse a command line of options and one file name
 * @argc: as for main()
 * @argv: as for main()
 * @summary: what the program does with the file, for the usage text
 * @options: the options; the last entry is empty
 *
 * A wrong command line ends the program with status 2, --help with status 0.
 *
 * Return: the file name.
 */
static inline const char *cli_parse(int argc, char **argv, const char *summary,
				    const struct cli_option *options)
{
	struct option names[CLI_MAX_OPTIONS + 2] = { };
	int count, found, index;

	for (count = 0; options[count].name && count < CLI_MAX_OPTIONS; count++) {
		names[count].name = options[count].name;
		names[count].has_arg = cli_has_argument(&options[count]);
		if (options[count].kind == CLI_KIND_NUMBER)
			*options[count].to.number = options[count].value;
	}
	names[count].name = "help";
	while ((found = getopt_long(argc, argv, "", names, &index)) != -1) {
		if (!found && index == count)
			cli_usage(summary, options, 0);
		if (found || !cli_set(&options[index], optarg))
			cli_usage(summary, options, 2);
	}
	if (optind != argc - 1)
		cli_usage(summary, options, 2);
	return argv[optind];
}

#endif /* SAMPLES_CLI_H */
