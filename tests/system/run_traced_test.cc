// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// `knell run` where no other source works and CMD is traced: as an ordinary user, in namespaces,
// and where tracing is restricted. What CMD does and how it ends is that of CMD alone; the report
// says that CMD is traced, why, and what that changes for a program.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "support/command.h"
#include "support/held.h"
#include "support/json.h"
#include "support/needs.h"

namespace knell::test {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

using Words = std::vector<std::string>;

struct Finished {
  std::optional<int> status;
  std::string out, err;
  Words report() const {
    Words lines;
    std::istringstream text(err);
    for (std::string line; std::getline(text, line);) lines.push_back(line);
    return lines;
  }
};

// Reads standard output and standard error until both are closed.
void read_to_end(int out, int err, Finished& done) {
  pollfd fds[] = {{out, POLLIN, 0}, {err, POLLIN, 0}};
  std::string* const texts[] = {&done.out, &done.err};
  for (const Deadline deadline; fds[0].fd >= 0 || fds[1].fd >= 0;) {
    if (::poll(fds, 2, deadline.left_ms()) <= 0) return;
    for (int i = 0; i < 2; i++) {
      char bytes[4096];
      if (fds[i].revents == 0) continue;
      const ssize_t size = ::read(fds[i].fd, bytes, sizeof bytes);
      if (size > 0)
        texts[i]->append(bytes, static_cast<size_t>(size));
      else
        fds[i].fd = -1;
    }
  }
}

// Runs a program to its end, in a process that `prepare` changes before.
Finished run_program(const std::function<bool()>& prepare, const Words& words) {
  Pipe out = make_pipe(), err = make_pipe();
  Child child = Child::fork([&] {
    ::dup2(out.write.get(), STDOUT_FILENO);
    ::dup2(err.write.get(), STDERR_FILENO);
    ::setenv("KNELL_SOCKET", "", 1);
    if (!prepare()) return 120;
    return Held::execute(words);
  });
  out.write.reset();
  err.write.reset();
  Finished done;
  read_to_end(out.read.get(), err.read.get(), done);
  done.status = child.wait();
  return done;
}

Finished run_knell(const std::function<bool()>& prepare, const Words& words,
                   const Words& before = {}) {
  Words all = before;
  all.push_back(knell_binary());
  all.insert(all.end(), words.begin(), words.end());
  return run_program(prepare, all);
}

// The connector is in the initial network namespace only, and bpf takes capabilities.
bool unprivileged_without_connector() { return ::unshare(CLONE_NEWNET) == 0 && become_nobody(); }

// A shell that runs two failing children and fails itself.
Words failing_shell() {
  return {"/bin/sh", "-c",
          "/bin/sh -c 'exit 3'; " + victim("exit_with") + " 4 some words; echo output; exit 5"};
}

void expect_report(const Finished& done) {
  EXPECT_EQ(done.status, 5 << 8) << done.err;
  EXPECT_EQ(done.out, "output\n");
  const Words lines = done.report();
  ASSERT_EQ(lines.size(), 4U) << done.err;
  EXPECT_THAT(lines[0], StartsWith("knell: /bin/sh is traced (ptrace), which slows it down: no "
                                   "other source works here: "));
  EXPECT_THAT(lines[1], ContainsRegex("^knell: exit 3 .* sh <- sh .*/bin/sh -c 'exit 3'$"));
  EXPECT_THAT(lines[2],
              ContainsRegex("^knell: exit 4 .* exit_with <- sh .*exit_with 4 some words"));
  EXPECT_THAT(lines[3], ContainsRegex("^knell: /bin/sh: exit 5 after [0-9.]+s; 3 processes, 2 "
                                      "failed under it, 0 lost$"));
}

Words run_words(const Words& command, const Words& options = {}) {
  Words words{"run"};
  words.insert(words.end(), options.begin(), options.end());
  words.emplace_back("--");
  words.insert(words.end(), command.begin(), command.end());
  return words;
}

// ------------------------------------------------------------------------------------------------
// where it is used

// On a kernel before 6.6 the connector refuses ordinary users.
TEST(RunTraced, ReportsForAnOrdinaryUser) {
  KNELL_NEEDS(lacks_root());
  Child user = Child::fork([] { return become_nobody() && !lacks_connector().empty() ? 0 : 1; });
  if (user.wait() != 0) GTEST_SKIP() << "the connector accepts ordinary users here (Linux 6.6)";
  expect_report(run_knell(become_nobody, run_words(failing_shell())));
}

TEST(RunTraced, ReportsForAnOrdinaryUserWithoutTheConnector) {
  KNELL_NEEDS(lacks_root());
  const Finished done = run_knell(unprivileged_without_connector, run_words(failing_shell()));
  expect_report(done);
  EXPECT_THAT(done.report()[0], HasSubstr("process events"));
}

void expect_report_in(const Words& namespaces) {
  KNELL_NEEDS(lacks_root());
  Words probe = namespaces;
  probe.emplace_back("true");
  if (run_program(become_nobody, probe).status != 0)
    GTEST_SKIP() << "an ordinary user cannot make these namespaces here";
  expect_report(run_knell(become_nobody, run_words(failing_shell()), namespaces));
}

TEST(RunTraced, ReportsInUserPidAndNetworkNamespaces) {
  expect_report_in({"unshare", "-U", "-r", "-n", "-p", "-f", "--mount-proc"});
}
// A user namespace in which the user has no uid.
TEST(RunTraced, ReportsInAUserNamespaceWithoutMappings) {
  expect_report_in({"unshare", "-U", "-n"});
}
TEST(RunTraced, ReportsAsInitOfANestedPidNamespace) {
  expect_report_in({"unshare", "-U", "-r", "-n", "-p", "-f", "--mount-proc", "unshare", "-p", "-f",
                    "--mount-proc"});
}

// ------------------------------------------------------------------------------------------------
// where it is refused

// Expects that CMD was not run, and that one line says why.
void expect_refusal(const Finished& done, const std::string& why) {
  EXPECT_EQ(done.status, 125 << 8);
  EXPECT_EQ(done.out, "");
  EXPECT_EQ(done.report().size(), 1U) << done.err;
  EXPECT_THAT(done.err, HasSubstr(why));
}

TEST(RunTraced, RefusesAProcOfAnotherPidNamespace) {
  KNELL_NEEDS(lacks_root());
  const Words namespaces{"unshare", "-U", "-r", "-n", "-p", "-f"};
  Words probe = namespaces;
  probe.emplace_back("true");
  if (run_program(become_nobody, probe).status != 0)
    GTEST_SKIP() << "an ordinary user cannot make these namespaces here";
  expect_refusal(run_knell(become_nobody, run_words(failing_shell()), namespaces),
                 "/proc is that of another pid namespace");
}

// A seccomp filter that answers ptrace(2) with `action`.
bool filter_ptrace(uint32_t action) {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ptrace, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, action),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{.len = std::size(program), .filter = program};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

TEST(RunTraced, SaysThatASeccompFilterForbidsIt) {
  KNELL_NEEDS(lacks_root());
  const struct {
    uint32_t action;
    const char* why;
  } filters[] = {{SECCOMP_RET_ERRNO | EPERM, "a seccomp filter"},
                 {SECCOMP_RET_ERRNO | ENOSYS, "has no ptrace(2)"},
                 {SECCOMP_RET_KILL_PROCESS, "was killed, by a seccomp filter"}};
  for (const auto& filter : filters) {
    const auto prepare = [&] {
      return unprivileged_without_connector() && filter_ptrace(filter.action);
    };
    expect_refusal(run_knell(prepare, run_words(failing_shell())), filter.why);
    const Finished doctor = run_knell(prepare, {"doctor"});
    EXPECT_EQ(doctor.status, 0) << doctor.err;
    EXPECT_THAT(doctor.out, ContainsRegex("\nno +ptrace +[^\n]*seccomp filter"));
    EXPECT_THAT(doctor.out, HasSubstr("watch and run have no event source here"));
  }
}

bool set_yama(char scope) {
  std::ofstream file("/proc/sys/kernel/yama/ptrace_scope");
  return static_cast<bool>(file << scope << std::flush);
}

// The scopes of kernel.yama.ptrace_scope: 0 processes of the same user, 1 descendants and who was
// permitted by PR_SET_PTRACER, 2 with CAP_SYS_PTRACE. (3 cannot be changed again.)
TEST(RunTraced, ObeysYama) {
  KNELL_NEEDS(only_in_vm());
  KNELL_NEEDS(lacks_root());
  if (!set_yama('0')) GTEST_SKIP() << "this kernel has no Yama";
  const auto run = [] {
    return run_knell(unprivileged_without_connector, run_words(failing_shell()));
  };
  expect_report(run());
  ASSERT_TRUE(set_yama('1'));
  expect_report(run());
  EXPECT_THAT(run_knell(unprivileged_without_connector, {"doctor"}).out,
              ContainsRegex("\nok +ptrace "));
  ASSERT_TRUE(set_yama('2'));
  expect_refusal(run(), "kernel.yama.ptrace_scope is 2");
  EXPECT_THAT(
      run_knell(unprivileged_without_connector, {"doctor"}).out,
      ContainsRegex("\nno +ptrace .*ptrace_scope is 2.* sysctl kernel.yama.ptrace_scope=1"));
  ASSERT_TRUE(set_yama('0'));
}

TEST(RunTraced, DoctorSaysThatRunTraces) {
  KNELL_NEEDS(lacks_root());
  const Finished done = run_knell(unprivileged_without_connector, {"doctor"});
  EXPECT_EQ(done.status, 0);
  EXPECT_THAT(done.out, ContainsRegex("\nok +ptrace +for knell run"));
  EXPECT_THAT(done.out,
              HasSubstr("\nwatch has no event source here; run traces its command; wait works\n"));
}

// ------------------------------------------------------------------------------------------------
// what it changes

// The summary, which is the last object of a JSON report.
JsonObject summary_of(const Finished& done) {
  const Words lines = done.report();
  const auto summary = lines.empty() ? std::nullopt : parse_json(lines.back());
  EXPECT_TRUE(summary.has_value()) << done.err;
  return summary.value_or(JsonObject());
}

TEST(RunTraced, SaysSoInJson) {
  KNELL_NEEDS(lacks_root());
  const Finished done =
      run_knell(unprivileged_without_connector, run_words(failing_shell(), {"-o", "json"}));
  EXPECT_EQ(done.status, 5 << 8);
  const Words lines = done.report();
  ASSERT_EQ(lines.size(), 4U) << done.err;
  auto first = parse_json(lines[0]);
  ASSERT_TRUE(first) << lines[0];
  EXPECT_EQ((*first)["type"].text, "traced");
  EXPECT_EQ((*first)["command"].text, "/bin/sh");
  EXPECT_THAT((*first)["reason"].text, HasSubstr("process events"));
  auto failed = parse_json(lines[1]);
  ASSERT_TRUE(failed) << lines[1];
  EXPECT_EQ((*failed)["via"].text, "ptrace");
  EXPECT_EQ((*failed)["exit_code"].number(), 3);
  auto summary = summary_of(done);
  EXPECT_EQ(summary["via"].text, "ptrace");
  EXPECT_EQ(summary["privileges_withheld"].number(), 0);
  EXPECT_EQ(summary["not_followed"].number(), 0);
}

TEST(RunTraced, SaysThatAProgramRunsWithoutItsPrivileges) {
  KNELL_NEEDS(lacks_root());
  using Kind = PrivilegedProgram::Kind;
  for (const Kind kind : {Kind::kSetUserId, Kind::kSetGroupId, Kind::kCapabilities}) {
    const PrivilegedProgram program(kind);
    KNELL_NEEDS(program.lacking());
    const Words command{"/bin/sh", "-c", program.path() + " 0; " + program.path() + " 0; exit 0"};
    const Finished text = run_knell(unprivileged_without_connector, run_words(command));
    const Words lines = text.report();
    // one line for each such program, not for each of its execs
    ASSERT_EQ(lines.size(), 3U) << text.err;
    EXPECT_THAT(lines[1], ContainsRegex("^knell: exec without its privileges \\(traced\\) .* "
                                        "program <- sh .*/program 0$"));
    const Finished json =
        run_knell(unprivileged_without_connector, run_words(command, {"-o", "json"}));
    ASSERT_EQ(json.report().size(), 3U) << json.err;
    EXPECT_THAT(json.report()[1], HasSubstr(R"("type":"exec")"));
    EXPECT_THAT(json.report()[1], HasSubstr(R"("privileges_withheld":true,"not_followed":false)"));
    EXPECT_EQ(summary_of(json)["privileges_withheld"].number(), 2);
  }
}

// A program that traces is left alone: it works, and the report says that it is not followed.
void expect_not_followed(const std::string& tracer, const std::string& command) {
  KNELL_NEEDS(lacks_root());
  KNELL_NEEDS(lacks_file(tracer));
  const Finished below =
      run_knell(unprivileged_without_connector,
                run_words({"/bin/sh", "-c", command + " >/dev/null 2>&1; echo $?; exit 2"}));
  EXPECT_EQ(below.status, 2 << 8);
  EXPECT_EQ(below.out, "3\n");
  EXPECT_THAT(below.err, HasSubstr("\nknell: exec, not followed (it traces) "));
  EXPECT_THAT(below.err, HasSubstr("\nknell: lost an unknown number of events"));
  EXPECT_THAT(below.err, HasSubstr("seen, 0 of them failed, an unknown number lost\n"));
  const Finished itself =
      run_knell(unprivileged_without_connector,
                run_words({"/bin/sh", "-c", "exec " + command + " >/dev/null"}, {"-o", "json"}));
  EXPECT_EQ(itself.status, 3 << 8) << itself.err;
  Words lines = itself.report();
  std::erase_if(lines, [](const std::string& line) { return line.find("{\"type\":") != 0; });
  ASSERT_FALSE(lines.empty()) << itself.err;
  auto summary = parse_json(lines.back());
  ASSERT_TRUE(summary) << itself.err;
  EXPECT_EQ((*summary)["not_followed"].number(), 1);
  EXPECT_EQ((*summary)["exit_code"].number(), 3);
}

TEST(RunTraced, LeavesStraceAlone) {
  expect_not_followed("/usr/bin/strace",
                      "/usr/bin/strace -f -o /dev/null " + victim("exit_with") + " 3");
}
TEST(RunTraced, LeavesGdbAlone) {
  KNELL_NEEDS(not_in_vm());
  expect_not_followed(
      "/usr/bin/gdb",
      "/usr/bin/gdb -nx -batch -return-child-result -ex run --args " + victim("exit_with") + " 3");
}

TEST(RunTraced, LeavesAnInnerKnellRunAlone) {
  expect_not_followed(knell_binary(), knell_binary() + " run -- /bin/sh -c 'exit 3'");
}

// LeakSanitizer stops the threads of its process by tracing them.
TEST(RunTraced, LeavesAProgramWithLeakSanitizerAlone) {
  KNELL_NEEDS(not_in_vm());
  const TemporaryDirectory directory;
  std::filesystem::permissions(directory.path(), std::filesystem::perms(0755));
  const std::string source = directory.path() + "/leak.c", program = directory.path() + "/leak";
  std::ofstream(source) << "#include <stdlib.h>\n"
                           "int main(void) { return *(volatile char *)malloc(1) != 0 ? 1 : 0; }\n";
  const auto stay = [] { return true; };
  if (run_program(stay, {"cc", "-fsanitize=leak", "-o", program, source}).status != 0)
    GTEST_SKIP() << "no compiler with LeakSanitizer";
  expect_not_followed(program, "env LSAN_OPTIONS=exitcode=3 " + program);
}

// ------------------------------------------------------------------------------------------------
// what is left

class Subreaper {
 public:
  Subreaper() { ::prctl(PR_SET_CHILD_SUBREAPER, 1); }
  ~Subreaper() { ::prctl(PR_SET_CHILD_SUBREAPER, 0); }
};

TEST(RunTraced, LeavesNoProcess) {
  KNELL_NEEDS(lacks_root());
  while (::waitpid(-1, nullptr, WNOHANG) > 0) {  // reaps orphans of earlier tests
  }
  const Subreaper subreaper;
  expect_report(run_knell(unprivileged_without_connector, run_words(failing_shell())));
  EXPECT_EQ(::waitpid(-1, nullptr, __WALL), -1) << "a process was left";
  EXPECT_EQ(errno, ECHILD);
}

// A daemon that CMD started continues untraced after knell has ended.
TEST(RunTraced, ADaemonOutlivesIt) {
  KNELL_NEEDS(lacks_root());
  const Subreaper subreaper;
  const Finished done =
      run_knell(unprivileged_without_connector,
                run_words({"/bin/sh", "-c", "sleep 1000 <&- >/dev/null 2>&1 & echo $!; exit 4"}));
  const pid_t daemon = std::atoi(done.out.c_str());
  EXPECT_EQ(done.status, 4 << 8);
  EXPECT_THAT(done.err, HasSubstr("; 1 still running\n"));
  ASSERT_GT(daemon, 0);
  EXPECT_EQ(tracer_of(daemon), 0);
  EXPECT_TRUE(state_of(daemon) != '\0' && state_of(daemon) != 'Z');
  ::kill(daemon, SIGKILL);
  EXPECT_EQ(::waitpid(daemon, nullptr, 0), daemon);
}

// If the tracer dies, CMD continues, and the report says that events are missing.
TEST(RunTraced, SaysThatEventsAreMissingWhenTheTracerIsKilled) {
  KNELL_NEEDS(lacks_root());
  const std::string kill_tracer =
      "while read -r key pid; do [ $key = TracerPid: ] && kill -9 $pid; done </proc/$$/status; ";
  const Finished done =
      run_knell(unprivileged_without_connector,
                run_words({"/bin/sh", "-c", kill_tracer + "/bin/sh -c 'exit 3'; exit 6"}));
  EXPECT_EQ(done.status, 6 << 8);
  EXPECT_THAT(done.err, HasSubstr("lost an unknown number of events"));
  EXPECT_THAT(done.report().back(), HasSubstr("an unknown number lost"));
}

}  // namespace
}  // namespace knell::test
