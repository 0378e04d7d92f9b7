// SPDX-License-Identifier: Apache-2.0
/* version.h - the version of the program. */
#ifndef NET_CLI_VERSION_H
#define NET_CLI_VERSION_H

#define VERSION "0.1.0"

#endif
