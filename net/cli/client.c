// SPDX-License-Identifier: Apache-2.0
/* client.c - the client, on libcurl's multi interface. */
#include "net/cli/client.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"

struct client {
	CURLM *multi;
	char *url;                     /* without a slash at the end */
	size_t flight;
};

struct exchange {
	struct client_call *call;
	CURL *easy;
	struct curl_slist *headers;
	char detail[CURL_ERROR_SIZE];
};

struct client *client_new(const char *url)
{
	bool bare = strstr(url, "://") == NULL;
	size_t len = strlen(url);
	struct buf text = { 0 };

	if (!len || (!bare && strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0))
		return NULL;
	curl_global_init(CURL_GLOBAL_DEFAULT);
	struct client *client = mem_zalloc(sizeof(*client));
	while (len && url[len - 1] == '/')
		len--;
	buf_printf(&text, "%s%.*s", bare ? "http://" : "", (int)len, url);
	buf_char(&text, '\0');
	client->url = text.ptr;
	client->multi = curl_multi_init();
	return client;
}

void client_free(struct client *client)
{
	if (!client)
		return;
	curl_multi_cleanup(client->multi);
	mem_free(client->url);
	mem_free(client);
	curl_global_cleanup();
}

const char *client_url(const struct client *client)
{
	return client->url;
}

size_t client_flight(const struct client *client)
{
	return client->flight;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
	struct client_call *call = context;

	buf_bytes(&call->answer, bytes, size * count);
	return size * count;
}

static void header_add(struct exchange *exchange, const char *name, const char *value)
{
	struct buf line = { 0 };

	buf_printf(&line, "%s: %s", name, value);
	buf_char(&line, '\0');
	exchange->headers = curl_slist_append(exchange->headers, line.ptr);
	buf_free(&line);
}

void client_start(struct client *client, struct client_call *call)
{
	struct exchange *exchange = mem_zalloc(sizeof(*exchange));
	struct buf url = { 0 };
	CURL *easy = curl_easy_init();

	call->status = 0;
	call->retry_after = 0;
	call->answer.len = 0;
	call->hash[0] = '\0';
	call->error[0] = '\0';
	call->internal = exchange;
	exchange->call = call;
	exchange->easy = easy;
	buf_printf(&url, "%s%s", client->url, call->path);
	buf_char(&url, '\0');
	if (call->brand)
		header_add(exchange, "X-Brand", call->brand);
	if (call->content_type) {
		header_add(exchange, "Content-Type", call->content_type);
		exchange->headers = curl_slist_append(exchange->headers, "Expect:");
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body.len ? call->body.ptr : "");
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.len);
	}
	curl_easy_setopt(easy, CURLOPT_URL, url.ptr);
	curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, exchange->headers);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange->detail);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, exchange);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, 10L);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT, call->timeout ? call->timeout : 300L);
	curl_multi_add_handle(client->multi, easy);
	client->flight++;
	buf_free(&url);
}

static struct client_call *finish(struct client *client, CURL *easy, CURLcode result)
{
	struct exchange *exchange;
	curl_off_t retry = 0;

	curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&exchange);
	struct client_call *call = exchange->call;
	if (result == CURLE_OK) {
		struct curl_header *hash;
		if (curl_easy_header(easy, "X-Content-Hash", 0, CURLH_HEADER, -1, &hash) == CURLHE_OK)
			snprintf(call->hash, sizeof call->hash, "%s", hash->value);
		curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &call->status);
		curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &retry);
		call->retry_after = (long)retry;
	} else {
		snprintf(call->error, sizeof(call->error), "%s",
			 *exchange->detail ? exchange->detail : curl_easy_strerror(result));
	}
	call->internal = NULL;
	curl_multi_remove_handle(client->multi, easy);
	curl_easy_cleanup(easy);
	curl_slist_free_all(exchange->headers);
	mem_free(exchange);
	client->flight--;
	return call;
}

struct client_call *client_wait(struct client *client)
{
	int running, left;
	CURLMsg *message;

	while (client->flight) {
		curl_multi_perform(client->multi, &running);
		while ((message = curl_multi_info_read(client->multi, &left)))
			if (message->msg == CURLMSG_DONE)
				return finish(client, message->easy_handle, message->data.result);
		curl_multi_poll(client->multi, NULL, 0, 1000, NULL);
	}
	return NULL;
}

bool client_do(struct client *client, struct client_call *call)
{
	client_start(client, call);
	while (client_wait(client) != call)
		;
	return call->status != 0;
}
