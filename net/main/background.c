// SPDX-License-Identifier: Apache-2.0
#include "net/main/background.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NICE = 10 };

void background_small(void)
{
	/* On Linux this is of the thread alone. */
	(void)!setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE);
}

void background_idle(void)
{
	if (sched_setscheduler(0, SCHED_IDLE, &(struct sched_param){ .sched_priority = 0 }))
		background_small();
}
