/* SPDX-License-Identifier: MIT */
#ifndef NSNET_NSNET_H
#define NSNET_NSNET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

/* libnsnet - a process, or a container, whose network is this program.
 *
 *   struct nsnet_options o = {.hooks = {.connect = may_connect, .dial = dial}};
 *   struct nsnet *n;
 *   int status, rc = nsnet_create(&n, &o);
 *   if (rc == 0)
 *           rc = nsnet_spawn(n, (char *[]){"curl", "http://example.com", NULL}, NULL);
 *   if (rc == 0)
 *           rc = nsnet_wait(n, &status);
 *   nsnet_close(n);
 *
 * One at a time in a process, since its TCP stack (lwIP) is global: the next nsnet_create() is
 * -EBUSY until nsnet_close(). container-shim, which is installed beside the program nsnet-host, is
 * run to make namespaces; see nsnet_options.shim.
 *
 * Threads. Without options.loop the library runs a loop on a thread of its own; then every function
 * up to nsnet_close() may be called from any thread. With a libev loop of the caller's, all of them
 * belong on the thread that runs it. Hooks and callbacks always run on the loop's thread, must not
 * block, and must not call nsnet_close(); functions of a flow are for that thread alone
 * (nsnet_call() leads there).
 *
 * What it leaves alone: it writes nothing to stderr, does not exit, and touches no signal, but with
 * options.rules (see there). It does not lock up the process as nsnet-host does (seccomp and
 * Landlock): what the child sends is parsed in your process, with your rights. Lock it up yourself
 * once the child runs, if you can. Broken connections raise no SIGPIPE.
 *
 * Functions that return int: 0, or a negative errno; options.log has the words for it.
 */
#ifdef __cplusplus
extern "C" {
#endif

#define NSNET_API __attribute__((visibility("default")))

struct ev_loop;
struct nsnet;
struct nsnet_flow; /* a TCP connection, a UDP conversation, or a series of echo requests */

enum nsnet_verdict {
	NSNET_DEFAULT, /* no opinion: options.default_deny decides */
	NSNET_ALLOW,
	NSNET_DENY,        /* connect(2) in the child is ECONNREFUSED */
	NSNET_UNREACHABLE, /* EHOSTUNREACH */
	NSNET_PROHIBITED,  /* ICMP: administratively prohibited */
	NSNET_DROP,        /* silence */
	NSNET_REDIRECT,    /* to what nsnet_flow_redirect() was given */
	NSNET_PENDING,     /* nsnet_flow_answer() comes later */
};

enum nsnet_direction {
	NSNET_OUT, /* from the child */
	NSNET_IN,  /* to the child */
};

enum nsnet_level {
	NSNET_ERROR,
	NSNET_WARNING,
	NSNET_INFO,
	NSNET_DEBUG
};

/* What is NULL is not asked. @arg is options.arg. Any other value than those here denies. */
struct nsnet_hooks {
	/* A TCP connection: nothing was answered to the child yet. The guard looks at what is
	 * allowed: see nsnet_flow_pass_guard(). */
	enum nsnet_verdict (*connect)(void *arg, struct nsnet_flow *f);

	/* The first datagram of a UDP conversation, or echo request. */
	enum nsnet_verdict (*flow)(void *arg, struct nsnet_flow *f);

	/* A question for @name ("example.com") to the resolver inside; @type as in DNS (1 = A).
	 * NSNET_ALLOW: it is asked of the host's name servers. NSNET_DENY: REFUSED,
	 * NSNET_UNREACHABLE: there is no such name, NSNET_DROP: silence. NSNET_REDIRECT and
	 * NSNET_PENDING deny. */
	enum nsnet_verdict (*name)(void *arg, const char *name, unsigned type);

	/* The dialer, for each TCP and UDP flow that is allowed: makes the connection to
	 * nsnet_flow_target(), or to anything else. Returns a socket (given away), which may still
	 * be connecting; or a negative errno, which the child sees as that of its connect(2).
	 * -ENOSYS: dial directly. -EINPROGRESS: nsnet_flow_dialed() comes later. */
	int (*dial)(void *arg, struct nsnet_flow *f);

	/* @n bytes of a connection for which nsnet_flow_show_data() was called, before they go on.
	 * 0: they pass. 1: *@other (from malloc(3), given away) of *@other_len bytes, perhaps none,
	 * go instead. Negative errno: both sides are reset. */
	int (*data)(void *arg, struct nsnet_flow *f, enum nsnet_direction direction,
		const void *bytes, size_t n, void **other, size_t *other_len);

	/* Each IP packet, both ways, @n bytes at @ip; false drops it. Fragments were put together;
	 * TCP segments may be up to 64 KB, and checksums not filled in. */
	bool (*packet)(void *arg, enum nsnet_direction direction, const void *ip, size_t n);

	/* A flow that waits for nsnet_flow_answer() or nsnet_flow_dialed() has ended: forget it.
	 * Needed by who returns NSNET_PENDING or -EINPROGRESS. */
	void (*cancel)(void *arg, struct nsnet_flow *f);

	/* A flow that was asked about has ended; it is gone afterwards. Exactly once. */
	void (*close)(void *arg, struct nsnet_flow *f);
};

/* Zeroed, it is complete: whatever is 0 or NULL stands for what is said here. All of it is copied,
 * but text is borrowed until nsnet_close(). */
struct nsnet_options {
	struct ev_loop *loop; /* the caller's; NULL: a thread of its own */
	struct nsnet_hooks hooks;

	/* Instead of hooks: a file of rules in Lua, nsnet-rules(7). The limit to a script's time
	 * needs SIGVTALRM, which is the library's then until nsnet_close(). A script that hangs in
	 * a function which cannot be stopped ends the process, as it ends nsnet-host: without it
	 * nothing would be answered any more. on_start handlers that wait run the loop inside of
	 * nsnet_spawn(). */
	const char *rules;

	/* Own messages, one line each without its newline. NULL: nobody hears them. */
	void (*log)(void *arg, enum nsnet_level level, const char *line);
	enum nsnet_level level; /* the most that is said, but at least errors and warnings */

	/* The process has ended, and what it had sent is delivered. @status as waitpid(2) says it;
	 * -1: of a process that was attached to, or somebody else has waited for it (as libev's
	 * default loop does on another thread). Once. nsnet_close() is allowed here, with a loop of
	 * the caller's. */
	void (*ended)(void *arg, int status);
	void *arg; /* for all callbacks */

	bool default_deny; /* what nobody has an opinion about is denied: flows and names */
	bool allow_host;   /* 10.0.0.100 leads to the host's loopback: see nsnet-host(1) */
	bool root;         /* the child appears as root inside */

	const char *net4, *net6; /* "10.0.0.1/24", "fd6e:736e:6574::1/64" */
	const char *shim;        /* container-shim: beside this program, else in PATH */
	unsigned mtu;            /* bytes: 65520 */
	size_t max_connections;  /* 16384, less if the limit of open files says so */
	size_t max_flows;        /* 1024 */
	size_t memory;           /* bytes in flight: 256 MiB */
	double udp_idle_s;       /* 60 */
	double tcp_idle_s;       /* never */
	double dial_timeout_s;   /* of direct connections: the kernel's */
};

/* -EBUSY: there is one in this process. -EINVAL: the options are not possible, or the rules have
 * an error; -ENOENT: they cannot be read. */
NSNET_API int nsnet_create(struct nsnet **n, const struct nsnet_options *o);

/* Ends every flow, which hooks.close is told, and frees all. A child that still runs goes on
 * without a network, and is the caller's to wait for.
 * NULL is allowed. -EDEADLK inside a hook, or a callback of the own thread: nothing is done. */
NSNET_API int nsnet_close(struct nsnet *n);

/* One of these once: who gets the network. They take milliseconds.
 * spawn: a new process in new namespaces; it is a child of this one, inherits what is not
 * close-on-exec, and its number goes to @pid (may be NULL). Wait for its end by options.ended or
 * nsnet_wait(), not by waitpid(2). 127 is its status if @argv cannot be run.
 * attach: a process that is in a network and a user namespace of its own, of the same user.
 * attach_tun: a device as container-shim makes it, with an MTU of options.mtu. It is taken whatever
 * is returned; -EBADMSG: it is no such device. */
NSNET_API int nsnet_spawn(struct nsnet *n, char *const argv[], pid_t *pid);
NSNET_API int nsnet_attach(struct nsnet *n, pid_t pid);
NSNET_API int nsnet_attach_tun(struct nsnet *n, int fd);

/* Waits until options.ended has returned; *@status as it was told (may be NULL). -EDEADLK with a
 * loop of the caller's. */
NSNET_API int nsnet_wait(struct nsnet *n, int *status);

/* Runs @fn on the loop's thread and returns what it returns. */
NSNET_API int nsnet_call(struct nsnet *n, int (*fn)(void *arg), void *arg);

/* A port of this host that leads inside, as -p of nsnet-host(1): "8080:80", "127.0.0.1:8080:80",
 * "5353:53/udp", "/path/of/socket:80". Once the process is there. */
NSNET_API int nsnet_publish(struct nsnet *n, const char *what);
NSNET_API int nsnet_unpublish(struct nsnet *n, const char *what);

struct nsnet_stats {
	uint64_t packets_out, bytes_out;  /* IP packets from the child */
	uint64_t packets_in, bytes_in;    /* to the child */
	uint64_t dropped;                 /* of these, by a device that was full */
	uint64_t allowed, denied, silent; /* flows: verdicts */
	uint64_t refused;                 /* connections above options.max_connections */
	size_t connections, flows;        /* now: TCP; of all kinds */
	size_t memory;                    /* in flight now, in bytes */
};
NSNET_API int nsnet_stats(struct nsnet *n, struct nsnet_stats *s);

/* ---- flows: valid from the hook that is first asked until hooks.close has returned ---- */

NSNET_API uint64_t nsnet_flow_id(const struct nsnet_flow *f);         /* 1, 2, ... */
NSNET_API const char *nsnet_flow_network(const struct nsnet_flow *f); /* "tcp", "udp", "icmp" */
NSNET_API bool nsnet_flow_is_inbound(const struct nsnet_flow *f);     /* published: called */
/* The name that the child was told the destination has, or NULL. Lent for the hook. */
NSNET_API const char *nsnet_flow_host(const struct nsnet_flow *f);
/* Addresses: the child's own; the destination as the child wrote it; where an allowed flow goes.
 * Returns the length used. */
NSNET_API socklen_t nsnet_flow_source(const struct nsnet_flow *f, struct sockaddr_storage *a);
NSNET_API socklen_t nsnet_flow_destination(const struct nsnet_flow *f, struct sockaddr_storage *a);
NSNET_API socklen_t nsnet_flow_target(const struct nsnet_flow *f, struct sockaddr_storage *a);
/* Payload. */
NSNET_API uint64_t nsnet_flow_bytes_out(const struct nsnet_flow *f);
NSNET_API uint64_t nsnet_flow_bytes_in(const struct nsnet_flow *f);
/* Why it ended: "closed", "child reset", "denied", ...; "" before. Static. */
NSNET_API const char *nsnet_flow_cause(const struct nsnet_flow *f);
/* The caller's own; NULL until it is set. */
NSNET_API void *nsnet_flow_data(const struct nsnet_flow *f);
NSNET_API void nsnet_flow_set_data(struct nsnet_flow *f, void *data);

/* With a verdict, from hooks.connect or hooks.flow to nsnet_flow_answer(); later -EALREADY.
 * redirect: where NSNET_REDIRECT leads. The guard lets it pass: you have named the address.
 * pass_guard: NSNET_ALLOW opens this address though the guard keeps it closed: the host's
 * own, its loopback, link-local ones.
 * explain: the reason for a denial, for the log. */
NSNET_API int nsnet_flow_redirect(struct nsnet_flow *f, const struct sockaddr *to, socklen_t len);
NSNET_API int nsnet_flow_pass_guard(struct nsnet_flow *f);
NSNET_API int nsnet_flow_show_data(struct nsnet_flow *f);
NSNET_API int nsnet_flow_explain(struct nsnet_flow *f, const char *reason);

/* The late answers, not from inside the hook. -EALREADY: it does not wait for this one. The flow
 * may be gone afterwards. @fd as hooks.dial returns it. */
NSNET_API int nsnet_flow_answer(struct nsnet_flow *f, enum nsnet_verdict verdict);
NSNET_API int nsnet_flow_dialed(struct nsnet_flow *f, int fd);

#ifdef __cplusplus
}
#endif
#endif
