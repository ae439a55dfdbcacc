/* SPDX-License-Identifier: GPL-2.0 */
/* Numbers on the command line. */
#ifndef NUMBER_H
#define NUMBER_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* The number that @text is. One that is not from @min to @max ends the program. */
static inline unsigned long number(const char *text, unsigned long min, unsigned long max)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || *end || end == text || value < min || value > max) {
		fprintf(stderr, "%s: %s is not from %lu to %lu\n", program_invocation_short_name,
			text, min, max);
		exit(2);
	}
	return value;
}

#endif
