/* SPDX-License-Identifier: MIT */
#include "container-shim/cover.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "container-shim/report.h"
#include "container-shim/userns.h"
#include "spec/support/stage.h"

/* Each test forks a "machine": a user and mount namespace with an /etc and a
 * /run of its own, which has no name server of this machine's. In it runs the
 * "inside": one more user and mount namespace, with the cover. The machine goes
 * on living beside it, as real ones do. */

static const char *const dns[] = {"10.0.0.53", "fd6e:736e:6574::53", NULL};

#define OURS "nameserver 10.0.0.53\nnameserver fd6e:736e:6574::53\n"
#define THEIRS "nameserver 192.0.2.1\nsearch example.org\noptions edns0 ndots:2\n"

static void check(int good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "failed: %s: %s\n", what, strerror(errno));
	_exit(1);
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	check(fd != -1 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), path);
	close(fd);
}

static const char *get(const char *path)
{
	static char text[16384];
	int fd = open(path, O_RDONLY);
	ssize_t n;

	if (fd == -1)
		return "(none)";
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n < 0 ? 0 : n] = '\0';
	return text;
}

static int shows(const char *path, const char *part)
{
	return strstr(get(path), part) != NULL;
}

static void enter_namespace(void)
{
	struct ids ids = userns_ids();

	check(unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0, "unshare");
	check(userns_map(&ids, true) == 0, "maps");
	check(userns_confine_mounts() >= 0, "mounts");
}

/* What a test does: out there before, inside after the cover, and out there
 * while inside waits. */
struct scene {
	void (*arrange)(void);
	void (*inside)(void);
	void (*meanwhile)(void); /* NULL: nothing happens */
	void (*afterwards)(void);
	int covered; /* what cover_resolv() is to return */
};

static void act_inside(const struct scene *s, int wait_fd, int tell_fd)
{
	char c = 0;

	enter_namespace();
	check(cover_resolv(dns) == s->covered, "cover_resolv");
	s->inside();
	if (!s->meanwhile)
		return;
	check(write(tell_fd, &c, 1) == 1 && read(wait_fd, &c, 1) == 1, "wait");
	s->afterwards();
}

static void act(const struct scene *s)
{
	int to[2], from[2], status;
	char c = 0;
	pid_t pid;

	enter_namespace();
	check(mount("spec", "/etc", "tmpfs", 0, NULL) == 0, "mount /etc");
	check(mount("spec", "/run", "tmpfs", 0, NULL) == 0, "mount /run");
	s->arrange();
	check(pipe(to) == 0 && pipe(from) == 0, "pipe");
	pid = fork();
	if (pid == 0) {
		alarm(30);
		act_inside(s, to[0], from[1]);
		_exit(0);
	}
	close(from[1]);
	if (s->meanwhile) {
		check(read(from[0], &c, 1) == 1, "inside");
		s->meanwhile();
		check(write(to[1], &c, 1) == 1, "write");
	}
	check(waitpid(pid, &status, 0) == pid && status == 0, "inside");
	/* And out here all is as it was. */
	check(!shows("/etc/resolv.conf", "10.0.0.53"), "the machine's own file");
}

static void play(const struct scene *s)
{
	int status;
	pid_t pid = fork();

	assert_true(pid != -1);
	if (pid == 0) {
		act(s);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* --- the ways to resolv.conf ------------------------------------------------------------------ */

static void plain_file(void)
{
	put("/etc/resolv.conf", "# comment\n" THEIRS "sortlist 1.2.3.4\nsearchlight\nbogus x\n");
	put("/etc/other", "stays");
}

static void see_ours(void)
{
	check(shows("/etc/resolv.conf", OURS), "our servers");
	check(shows("/etc/resolv.conf", "search example.org\noptions edns0 ndots:2\n"), "search");
	check(!shows("/etc/resolv.conf", "192.0.2.1"), "their server is gone");
}

static void see_ours_only(void)
{
	see_ours();
	check(shows("/etc/resolv.conf", "sortlist 1.2.3.4\n"), "sortlist");
	check(!shows("/etc/resolv.conf", "searchlight"), "a word, not its beginning");
	check(!shows("/etc/resolv.conf", "bogus"), "what nobody knows");
	check(shows("/etc/other", "stays"), "the rest of /etc");
}

static void covers_a_plain_file(void **state)
{
	const struct scene scene = {plain_file, see_ours_only, NULL, NULL, 0};

	(void)state;
	play(&scene);
}

static void systemd_stub(void)
{
	check(mkdir("/run/systemd", 0755) == 0 && mkdir("/run/systemd/resolve", 0755) == 0,
		"mkdir");
	put("/run/systemd/resolve/stub-resolv.conf", THEIRS);
	put("/run/systemd/resolve/resolv.conf", THEIRS);
	put("/run/systemd/resolve/io.systemd.Resolve", "a socket");
	check(symlink("../run/systemd/resolve/stub-resolv.conf", "/etc/resolv.conf") == 0, "link");
}

static void see_the_stub_covered(void)
{
	see_ours();
	check(shows("/run/systemd/resolve/resolv.conf", OURS), "the other name");
	/* nss-resolve would ask it, past our resolver. */
	check(access("/run/systemd/resolve/io.systemd.Resolve", F_OK) == -1, "the socket");
}

/* As systemd-resolved writes it: a new file, renamed. */
static void rename_the_stub(void)
{
	put("/run/systemd/resolve/.#new", "nameserver 192.0.2.99\n");
	check(rename("/run/systemd/resolve/.#new", "/run/systemd/resolve/stub-resolv.conf") == 0,
		"rename");
}

static void still_see_the_stub_covered(void)
{
	see_the_stub_covered();
	check(!shows("/etc/resolv.conf", "192.0.2.99"), "the new file");
}

static void covers_the_directory_of_a_stub_and_survives_a_rename(void **state)
{
	const struct scene scene = {systemd_stub, see_the_stub_covered, rename_the_stub,
		still_see_the_stub_covered, 0};

	(void)state;
	play(&scene);
}

static void nix_chain(void)
{
	check(mkdir("/etc/static", 0755) == 0 && mkdir("/run/store", 0755) == 0, "mkdir");
	put("/run/store/resolv.conf", THEIRS);
	check(symlink("/run/store/resolv.conf", "/etc/static/resolv.conf") == 0, "link");
	check(symlink("static/resolv.conf", "/etc/resolv.conf") == 0, "link");
}

static void see_the_chain_covered(void)
{
	see_ours();
	check(shows("/run/store/resolv.conf", OURS), "the end of the chain");
}

static void follows_a_chain_of_links(void **state)
{
	const struct scene scene = {nix_chain, see_the_chain_covered, NULL, NULL, 0};

	(void)state;
	play(&scene);
}

static void wsl_link(void)
{
	check(mkdir("/run/wsl", 0755) == 0, "mkdir");
	put("/run/wsl/resolv.conf", THEIRS);
	put("/run/wsl/neighbor", "stays");
	check(symlink("/run/wsl/resolv.conf", "/etc/resolv.conf") == 0, "link");
}

static void see_only_the_file_covered(void)
{
	see_ours();
	check(shows("/run/wsl/neighbor", "stays"), "a directory that others use");
}

static void leaves_the_neighbors_of_a_file_alone(void **state)
{
	const struct scene scene = {wsl_link, see_only_the_file_covered, NULL, NULL, 0};

	(void)state;
	play(&scene);
}

static void nothing_there(void)
{
	put("/etc/hosts", "127.0.0.1 localhost\n");
}

static void see_ours_without_search(void)
{
	check(shows("/etc/resolv.conf", OURS), "our servers");
	check(shows("/etc/hosts", "localhost"), "the rest of /etc");
}

static void makes_one_where_there_is_none(void **state)
{
	const struct scene scene = {nothing_there, see_ours_without_search, NULL, NULL, 0};

	(void)state;
	play(&scene);
}

static void dangling_link(void)
{
	nothing_there();
	check(symlink("../run/systemd/resolve/stub-resolv.conf", "/etc/resolv.conf") == 0, "link");
}

static void makes_one_where_a_link_leads_nowhere(void **state)
{
	const struct scene scene = {dangling_link, see_ours_without_search, NULL, NULL, 0};

	(void)state;
	play(&scene);
}

static void file_on_a_file(void)
{
	put("/etc/resolv.conf", "nameserver 192.0.2.2\n");
	put("/run/theirs", THEIRS);
	check(mount("/run/theirs", "/etc/resolv.conf", "none", MS_BIND, NULL) == 0, "bind");
}

static void covers_one_that_is_a_mount_already(void **state)
{
	const struct scene scene = {file_on_a_file, see_ours, NULL, NULL, 0};

	(void)state;
	play(&scene);
}

/* --- what else answers names ------------------------------------------------------------------ */

static void name_daemons(void)
{
	plain_file();
	check(mkdir("/run/nscd", 0755) == 0 && mkdir("/run/avahi-daemon", 0755) == 0, "mkdir");
	put("/run/nscd/socket", "");
	put("/run/avahi-daemon/socket", "");
}

static void see_no_daemon(void)
{
	see_ours();
	check(access("/run/nscd", F_OK) == 0, "the directory");
	check(access("/run/nscd/socket", F_OK) == -1, "nscd");
	check(access("/run/avahi-daemon/socket", F_OK) == -1, "avahi");
	check(open("/run/nscd/x", O_CREAT | O_WRONLY, 0600) == -1 && errno == EROFS, "read-only");
}

static void covers_the_sockets_of_name_daemons(void **state)
{
	const struct scene scene = {name_daemons, see_no_daemon, NULL, NULL, 0};

	(void)state;
	play(&scene);
}

static void secret_things(void)
{
	plain_file();
	check(mkdir("/run/secret", 0755) == 0, "mkdir");
	put("/run/secret/within", "secret");
	put("/run/file", "secret");
}

static void cover_them(void)
{
	struct stat st;

	check(cover("/run/secret") == 0 && cover("/run/file") == 0, "cover");
	check(access("/run/secret/within", F_OK) == -1, "the directory");
	check(stat("/run/file", &st) == 0 && S_ISCHR(st.st_mode), "the file");
	check(!shows("/run/file", "secret"), "its contents");
	check(cover("/run/nothing") == -ENOENT, "what is not there");
}

static void covers_directories_and_files(void **state)
{
	const struct scene scene = {secret_things, cover_them, NULL, NULL, 0};

	(void)state;
	play(&scene);
}

/* In a user namespace of its own the command is mighty, and cannot lift a cover. */
static void try_to_lift(void)
{
	enter_namespace();
	check(umount2("/etc/resolv.conf", MNT_DETACH) == -1, "umount");
	see_ours();
	check(umount2("/run/nscd", MNT_DETACH) == -1, "umount");
	check(mkdir("/tmp/cover-spec", 0755) == 0 || errno == EEXIST, "mkdir");
	check(mount("/run", "/tmp/cover-spec", "none", MS_BIND, NULL) == -1, "bind without covers");
	check(mount("/run", "/tmp/cover-spec", "none", MS_BIND | MS_REC, NULL) == 0, "bind");
	check(access("/tmp/cover-spec/nscd/socket", F_OK) == -1, "nscd by another path");
	umount2("/tmp/cover-spec", MNT_DETACH);
	rmdir("/tmp/cover-spec");
}

static void cannot_be_lifted_from_a_nested_namespace(void **state)
{
	const struct scene scene = {name_daemons, try_to_lift, NULL, NULL, 0};

	(void)state;
	play(&scene);
}

/* --- extremes --------------------------------------------------------------------------------- */

static void huge_file(void)
{
	FILE *file = fopen("/etc/resolv.conf", "w");

	check(file != NULL, "open");
	fputs("options ndots:3\n", file);
	for (int i = 0; i < 2000; i++)
		fprintf(file, "search a%d.example.org\n", i);
	fclose(file);
}

static void see_whole_lines(void)
{
	const char *text = get("/etc/resolv.conf");

	check(strstr(text, OURS) && strstr(text, "options ndots:3\n"), "the beginning");
	check(text[strlen(text) - 1] == '\n', "the end");
	check(strstr(text, ".example.org\n") != NULL, "lines");
}

static void cuts_a_huge_file_at_a_line(void **state)
{
	const struct scene scene = {huge_file, see_whole_lines, NULL, NULL, 0};

	(void)state;
	play(&scene);
}

static void no_name(void)
{
	check(mkdir("/etc/resolv.conf", 0755) == 0, "mkdir");
}

static void nothing(void)
{
}

static void says_so_where_it_cannot(void **state)
{
	const struct scene scene = {no_name, nothing, NULL, NULL, -ENOTDIR};

	(void)state;
	play(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(covers_a_plain_file),
		cmocka_unit_test(covers_the_directory_of_a_stub_and_survives_a_rename),
		cmocka_unit_test(follows_a_chain_of_links),
		cmocka_unit_test(leaves_the_neighbors_of_a_file_alone),
		cmocka_unit_test(makes_one_where_there_is_none),
		cmocka_unit_test(makes_one_where_a_link_leads_nowhere),
		cmocka_unit_test(covers_one_that_is_a_mount_already),
		cmocka_unit_test(covers_the_sockets_of_name_daemons),
		cmocka_unit_test(covers_directories_and_files),
		cmocka_unit_test(cannot_be_lifted_from_a_nested_namespace),
		cmocka_unit_test(cuts_a_huge_file_at_a_line),
		cmocka_unit_test(says_so_where_it_cannot),
	};

	report_init("cover_spec");
	stage_enter();
	return cmocka_run_group_tests_name("shim/cover", tests, NULL, NULL);
}
