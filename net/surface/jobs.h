// SPDX-License-Identifier: Apache-2.0
/* jobs.h - internal jobs in the server: the scheduler with its log lines and metrics, and the routes that preview and run. */
#ifndef NET_SURFACE_JOBS_H
#define NET_SURFACE_JOBS_H

#include "net/surface/app.h"

/* `on`: runs what is due; off: only what is asked for. */
void jobs_start(struct app *app, bool on);
void jobs_tick(struct app *app);               /* a few times a second */
void jobs_stop(struct app *app);               /* runs under way end early */
bool jobs_busy(const struct app *app);
void jobs_free(struct app *app);

#endif
