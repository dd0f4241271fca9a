/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "core/bridge.h"
#include "core/log.h"

#define PUBLIC "203.0.113.7:80"
#define LOOPBACK "127.0.0.1:80"

static struct {
	struct ev_loop *loop;
	struct bridge bridge;
	struct policy policy;
	struct guard guard;
	struct flow_table table;
	struct flow flow;
	enum nsnet_verdict says;
	const char *redirect; /* NULL: none */
	bool pass;
	int dial; /* what the dialer returns */
	int asked, cancelled, closed, decided, dialed, fd;
	void *data; /* as hooks.close saw it */
} t;

static enum nsnet_verdict on_connect(void *arg, struct nsnet_flow *f)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(80)};

	assert_ptr_equal(arg, &t);
	assert_int_equal(nsnet_flow_answer(f, NSNET_ALLOW), -EALREADY); /* not from inside */
	t.asked++;
	if (t.redirect) {
		inet_pton(AF_INET, t.redirect, &to.sin_addr);
		assert_int_equal(nsnet_flow_redirect(f, (struct sockaddr *)&to, sizeof(to)), 0);
		assert_int_equal(nsnet_flow_redirect(f, (struct sockaddr *)&to, 7), -EINVAL);
	}
	if (t.pass)
		assert_int_equal(nsnet_flow_pass_guard(f), 0);
	return t.says;
}

static int on_dial(void *arg, struct nsnet_flow *f)
{
	assert_ptr_equal(arg, &t);
	assert_int_equal(nsnet_flow_dialed(f, -ECONNREFUSED), -EALREADY);
	return t.dial;
}

static void on_cancel(void *arg, struct nsnet_flow *f)
{
	assert_ptr_equal(arg, &t);
	assert_int_equal(nsnet_flow_answer(f, NSNET_ALLOW), -EALREADY);
	t.cancelled++;
}

static void on_close(void *arg, struct nsnet_flow *f)
{
	assert_ptr_equal(arg, &t);
	t.data = nsnet_flow_data(f);
	t.closed++;
}

static void decided(struct flow *f)
{
	assert_ptr_equal(f, &t.flow);
	t.decided++;
}

static void dialed(struct flow *f, int fd, const void *early, size_t n)
{
	assert_ptr_equal(f, &t.flow);
	assert_true(!early && !n);
	t.fd = fd;
	t.dialed++;
	ev_break(t.loop, EVBREAK_ALL);
}

static const struct flow_ops ops = {.network = "tcp", .decided = decided, .dialed = dialed};

static bool is_host(void *arg, const struct addr *a)
{
	(void)arg;
	(void)a;
	return false;
}

static const char *name_of(void *arg, const struct flow *f)
{
	(void)arg;
	(void)f;
	return "example.com";
}

static const struct nsnet_hooks hooks = {.connect = on_connect,
	.dial = on_dial,
	.cancel = on_cancel,
	.close = on_close};

static int setup(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	memset(&t, 0, sizeof(t));
	t.loop = ev_loop_new(EVFLAG_AUTO);
	t.fd = -1;
	assert_int_equal(guard_init(&t.guard), 0);
	t.guard.is_host = is_host;
	assert_int_equal(flow_table_init(&t.table), 0);
	t.policy.guard = &t.guard;
	t.policy.name_of = name_of;
	bridge_init(&t.bridge, t.loop, &t.policy, &hooks, &t);
	return 0;
}

static void end(void)
{
	policy_end(&t.policy, &t.flow, FLOW_CAUSE_ABORTED, 0);
	flow_remove(&t.flow);
	assert_null(t.flow.policy);
}

static int teardown(void **state)
{
	(void)state;
	if (t.flow.table)
		end();
	guard_fini(&t.guard);
	flow_table_fini(&t.table);
	ev_loop_destroy(t.loop);
	return 0;
}

static struct nsnet_flow *shown(void)
{
	return (struct nsnet_flow *)&t.flow;
}

/* A new flow to @to asks. What policy_ask() says. */
static bool ask(const char *to)
{
	struct flow_key key = {.proto = IPPROTO_TCP};

	if (t.flow.table)
		end();
	memset(&t.flow, 0, sizeof(t.flow));
	t.flow.ops = &ops;
	assert_int_equal(addr_parse(&key.src, "10.0.0.1:40000"), 0);
	assert_int_equal(addr_parse(&key.dst, to), 0);
	flow_add(&t.table, &t.flow, &key, 0);
	return policy_ask(&t.policy, &t.flow);
}

static void a_verdict_is_what_the_header_says(void **state)
{
	static const struct {
		enum nsnet_verdict said;
		enum verdict is;
		enum deny_style style;
	} all[] = {
		{NSNET_DEFAULT, VERDICT_ALLOW, 0},
		{NSNET_ALLOW, VERDICT_ALLOW, 0},
		{NSNET_DENY, VERDICT_DENY, DENY_STYLE_REFUSE},
		{NSNET_UNREACHABLE, VERDICT_DENY, DENY_STYLE_UNREACHABLE},
		{NSNET_PROHIBITED, VERDICT_DENY, DENY_STYLE_PROHIBITED},
		{NSNET_DROP, VERDICT_DROP, 0},
		{NSNET_REDIRECT, VERDICT_DENY, DENY_STYLE_REFUSE}, /* to nowhere */
		{(enum nsnet_verdict)99, VERDICT_DENY, DENY_STYLE_REFUSE},
		{(enum nsnet_verdict) - 1, VERDICT_DENY, DENY_STYLE_REFUSE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		t.says = all[i].said;
		assert_true(ask(PUBLIC));
		assert_int_equal(t.flow.decision.verdict, all[i].is);
		assert_int_equal(t.flow.decision.style, all[i].style);
	}
	assert_int_equal(t.asked, sizeof(all) / sizeof(all[0]));
}

static void the_guard_yields_to_who_names_the_address(void **state)
{
	(void)state;
	t.says = NSNET_ALLOW;
	assert_true(ask(LOOPBACK));
	assert_int_equal(t.flow.decision.verdict, VERDICT_DENY);
	t.redirect = "203.0.113.9"; /* but it allows what was asked for */
	assert_true(ask(LOOPBACK));
	assert_int_equal(t.flow.decision.verdict, VERDICT_DENY);
	t.redirect = NULL;
	t.pass = true;
	assert_true(ask(LOOPBACK));
	assert_int_equal(t.flow.decision.verdict, VERDICT_ALLOW);
	t.says = NSNET_DEFAULT; /* that is not to allow it */
	assert_true(ask(LOOPBACK));
	assert_int_equal(t.flow.decision.verdict, VERDICT_DENY);
	t.pass = false;
	t.says = NSNET_REDIRECT;
	t.redirect = "127.0.0.1";
	assert_true(ask(PUBLIC));
	assert_int_equal(t.flow.decision.verdict, VERDICT_REDIRECT);
}

static void a_decision_is_shaped_while_it_is_owed(void **state)
{
	struct sockaddr_storage a;

	(void)state;
	t.says = NSNET_ALLOW;
	assert_true(ask(PUBLIC));
	assert_int_equal(nsnet_flow_pass_guard(shown()), -EALREADY);
	assert_int_equal(nsnet_flow_show_data(shown()), -EALREADY);
	assert_int_equal(nsnet_flow_explain(shown(), "late"), -EALREADY);
	assert_int_equal(nsnet_flow_answer(shown(), NSNET_DENY), -EALREADY);
	assert_int_equal(t.flow.decision.verdict, VERDICT_ALLOW);
	assert_string_equal(nsnet_flow_network(shown()), "tcp");
	assert_string_equal(nsnet_flow_host(shown()), "example.com");
	assert_int_equal(nsnet_flow_target(shown(), &a), sizeof(struct sockaddr_in));
	assert_int_equal(((struct sockaddr_in *)&a)->sin_port, htons(80));
}

static void an_answer_may_come_later_and_once(void **state)
{
	(void)state;
	t.says = NSNET_PENDING;
	assert_false(ask(PUBLIC));
	assert_int_equal(nsnet_flow_explain(shown(), "thought about it"), 0);
	assert_int_equal(nsnet_flow_dialed(shown(), -ECONNREFUSED), -EALREADY);
	assert_int_equal(nsnet_flow_answer(shown(), NSNET_DENY), 0);
	assert_int_equal(t.decided, 1);
	assert_int_equal(t.flow.decision.verdict, VERDICT_DENY);
	assert_string_equal(t.flow.decision.reason, "thought about it");
	assert_int_equal(nsnet_flow_answer(shown(), NSNET_ALLOW), -EALREADY);
	end();
	assert_int_equal(t.cancelled, 0);
	assert_int_equal(t.closed, 1);
}

static void what_waits_is_cancelled_with_the_flow(void **state)
{
	(void)state;
	t.says = NSNET_PENDING;
	assert_false(ask(PUBLIC));
	nsnet_flow_set_data(shown(), &t.says);
	end();
	assert_int_equal(t.cancelled, 1);
	assert_int_equal(t.closed, 1);
	assert_ptr_equal(t.data, &t.says);
}

static void a_wait_that_nobody_can_end_denies(void **state)
{
	const struct nsnet_hooks some = {.connect = on_connect, .dial = on_dial};

	(void)state;
	bridge_init(&t.bridge, t.loop, &t.policy, &some, &t);
	t.says = NSNET_PENDING;
	assert_true(ask(PUBLIC));
	assert_int_equal(t.flow.decision.verdict, VERDICT_DENY);
	t.says = NSNET_ALLOW;
	assert_true(ask(PUBLIC));
	t.dial = -EINPROGRESS;
	log_set_level((enum log_level) - 1);
	assert_int_equal(policy_dial(&t.policy, &t.flow), -EINVAL);
}

static void dial(int what)
{
	t.says = NSNET_ALLOW;
	assert_true(ask(PUBLIC));
	flow_set_state(&t.flow, FLOW_STATE_DIALING);
	t.dial = what;
}

static void a_socket_is_waited_for(void **state)
{
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	dial(pair[0]);
	assert_int_equal(policy_dial(&t.policy, &t.flow), -EINPROGRESS);
	assert_int_equal(t.dialed, 0); /* never from inside */
	ev_run(t.loop, 0);
	assert_int_equal(t.dialed, 1);
	assert_int_equal(t.fd, pair[0]);
	assert_true(fcntl(pair[0], F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(pair[0], F_GETFD) & FD_CLOEXEC);
	close(pair[0]);
	close(pair[1]);
}

static void a_socket_that_is_not_connected_is_an_error(void **state)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	dial(fd);
	assert_int_equal(policy_dial(&t.policy, &t.flow), -EINPROGRESS);
	ev_run(t.loop, 0);
	assert_int_equal(t.dialed, 1);
	assert_int_equal(t.fd, -ENOTCONN);
	assert_int_equal(fcntl(fd, F_GETFD), -1); /* closed */
	dial(999);
	assert_int_equal(policy_dial(&t.policy, &t.flow), -EBADF);
	dial(-EHOSTUNREACH);
	assert_int_equal(policy_dial(&t.policy, &t.flow), -EHOSTUNREACH);
}

static void a_socket_goes_with_its_flow(void **state)
{
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	dial(pair[0]);
	assert_int_equal(policy_dial(&t.policy, &t.flow), -EINPROGRESS);
	end();
	assert_int_equal(fcntl(pair[0], F_GETFD), -1);
	assert_int_equal(t.cancelled, 0); /* it is ours that waits, not the user */
	assert_int_equal(t.closed, 1);
	close(pair[1]);
}

static void a_dialer_may_answer_later(void **state)
{
	int pair[2];

	(void)state;
	dial(-EINPROGRESS);
	assert_int_equal(policy_dial(&t.policy, &t.flow), -EINPROGRESS);
	assert_int_equal(nsnet_flow_answer(shown(), NSNET_ALLOW), -EALREADY);
	assert_int_equal(nsnet_flow_dialed(shown(), -ETIMEDOUT), 0);
	assert_int_equal(t.fd, -ETIMEDOUT);
	assert_int_equal(nsnet_flow_dialed(shown(), -ETIMEDOUT), -EALREADY);

	dial(-EINPROGRESS);
	assert_int_equal(policy_dial(&t.policy, &t.flow), -EINPROGRESS);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(nsnet_flow_dialed(shown(), pair[0]), 0);
	assert_int_equal(nsnet_flow_dialed(shown(), pair[1]), -EALREADY); /* and closed */
	ev_run(t.loop, 0);
	assert_int_equal(t.fd, pair[0]);
	assert_int_equal(fcntl(pair[1], F_GETFD), -1);
	close(pair[0]);

	dial(-EINPROGRESS);
	assert_int_equal(policy_dial(&t.policy, &t.flow), -EINPROGRESS);
	end();
	assert_int_equal(t.cancelled, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_verdict_is_what_the_header_says),
		TEST(the_guard_yields_to_who_names_the_address),
		TEST(a_decision_is_shaped_while_it_is_owed),
		TEST(an_answer_may_come_later_and_once),
		TEST(what_waits_is_cancelled_with_the_flow),
		TEST(a_wait_that_nobody_can_end_denies),
		TEST(a_socket_is_waited_for),
		TEST(a_socket_that_is_not_connected_is_an_error),
		TEST(a_socket_goes_with_its_flow),
		TEST(a_dialer_may_answer_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
