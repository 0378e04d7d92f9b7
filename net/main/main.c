// SPDX-License-Identifier: Apache-2.0
/* main.c - the entry; everything begins in commands.c. */
#include "net/cli/commands.h"

int main(int argc, char **argv)
{
	return commands_main(argc, argv);
}
