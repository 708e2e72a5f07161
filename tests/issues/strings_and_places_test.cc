// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Strings and paths are reported unchanged: empty arguments and names, deleted files, deep paths,
// cgroups with long and with changed names.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <climits>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "base/proc_stat.h"
#include "support/daemon.h"
#include "support/json.h"
#include "support/needs.h"
#include "support/recorder.h"

extern char** environ;

namespace knell::test {
namespace {

class StringsAndPlaces : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    KNELL_NEEDS(lacks_root());
    KNELL_NEEDS(lacks_connector());
    if (!over_connector()) KNELL_NEEDS(lacks_bpf());
    if (via() != "daemon") return;
    KNELL_NEEDS(lacks_knelld());
    daemon_.emplace();
    ASSERT_TRUE(daemon_->start());
  }
  static std::string via() { return GetParam(); }
  static bool over_connector() { return via() == "connector"; }
  static Recorder::Wish wish(uint32_t events) {
    return {.events = events, .matches = {{"under", std::to_string(::getpid())}}, .via = via()};
  }
  // Over bpf every value must be known; over other sources a value may be unknown, if it was not
  // read in time.
  template <class T>
  static void expect(const std::optional<T>& reported, const T& right) {
    if (reported || !over_connector()) {
      EXPECT_EQ(reported, right);
    }
  }
  // The exec of a child that runs `body` and then /bin/true.
  static std::vector<Seen> run(Recorder& recorder, const std::function<void()>& body) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      body();
      ::_exit(127);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    EXPECT_EQ(status, 0);
    EXPECT_TRUE(recorder.read_until_exit_of(pid));
    return recorder.of(pid);
  }
  static void become_true() { ::execl("/bin/true", "true", nullptr); }

 private:
  std::optional<Daemon> daemon_;
};

constexpr uint32_t kExecAndExit = KNELL_EVENT_EXEC | KNELL_EVENT_EXIT;

}  // namespace

TEST_P(StringsAndPlaces, EmptyArguments) {
  Recorder recorder(wish(kExecAndExit));
  ASSERT_TRUE(recorder.ok());
  const auto two = run(recorder, [] { ::execl("/bin/true", "true", "", "", nullptr); });
  ASSERT_EQ(two.size(), 2U);
  for (const Seen& event : two) {
    expect(event.args, std::vector<std::string>{"true", "", ""});
    EXPECT_EQ(event.raw.flags & KNELL_FLAG_ARGS_TRUNCATED, 0U);
  }
  const auto none = run(recorder, [] { ::execl("/bin/true", "", nullptr); });
  ASSERT_EQ(none.size(), 2U);
  for (const Seen& event : none) expect(event.args, std::vector<std::string>{""});
}

// Like a program that shows its state in its title: it overwrites the arguments, and the rest with
// NULs.
TEST_P(StringsAndPlaces, ATitleHasNoEmptyArguments) {
  if (over_connector()) GTEST_SKIP() << "the connector has the arguments of the exec";
  if (in_vm()) GTEST_SKIP() << "this kernel has the arguments of the exec";
  Recorder recorder(wish(KNELL_EVENT_EXIT));
  ASSERT_TRUE(recorder.ok());
  const auto title = [&](std::string_view text) {
    const auto events = run(recorder, [&] {
      const auto stat = read_proc_stat(::getpid());
      auto* const args = reinterpret_cast<char*>(stat->arg_start);
      std::memset(args, 0, stat->arg_end - stat->arg_start);
      std::memcpy(args, text.data(), text.size());
      ::_exit(0);
    });
    return events.empty() ? std::nullopt : events.front().args;
  };
  EXPECT_EQ(title("it: works"), std::vector<std::string>{"it: works"});
  const auto stat = read_proc_stat(::getpid());
  const std::string nearly(stat->arg_end - stat->arg_start - 2, 'x');
  EXPECT_EQ(title(nearly), std::vector<std::string>{nearly}) << "two NULs behind it";
}

TEST_P(StringsAndPlaces, AnEmptyName) {
  Recorder recorder(wish(KNELL_EVENT_COMM | KNELL_EVENT_EXIT));
  recorder.keep_json = true;
  ASSERT_TRUE(recorder.ok());
  const auto events = run(recorder, [] {
    ::prctl(PR_SET_NAME, "");
    ::_exit(0);
  });
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].new_comm, "");
  EXPECT_EQ(events[1].comm, "");
  EXPECT_NE(events[1].json.find(R"("comm":"")"), std::string::npos) << events[1].json;
}

TEST_P(StringsAndPlaces, ADeletedProgramAndDirectory) {
  const TemporaryDirectory directory;
  const std::string program = directory.path() + "/program", folder = directory.path() + "/folder";
  std::filesystem::copy_file("/bin/true", program);
  std::filesystem::create_directory(folder);
  Recorder recorder(wish(kExecAndExit));
  ASSERT_TRUE(recorder.ok());
  const auto events = run(recorder, [&] {
    const int file = ::open(program.c_str(), O_RDONLY | O_CLOEXEC);
    (void)!::chdir(folder.c_str());
    ::unlink(program.c_str());
    ::rmdir(folder.c_str());
    char name[] = "true";
    char* const args[] = {name, nullptr};
    ::fexecve(file, args, environ);
  });
  ASSERT_EQ(events.size(), 2U);
  for (const Seen& event : events) {
    expect(event.exe, program + " (deleted)");
    expect(event.cwd, folder + " (deleted)");
  }
}

TEST_P(StringsAndPlaces, AProgramInMemory) {
  std::ifstream file("/bin/true", std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  Recorder recorder(wish(kExecAndExit));
  ASSERT_TRUE(recorder.ok());
  const auto events = run(recorder, [&] {
    const int memory = ::memfd_create("some name", MFD_CLOEXEC);
    (void)!::write(memory, bytes.data(), bytes.size());
    char name[] = "true";
    char* const args[] = {name, nullptr};
    ::fexecve(memory, args, environ);
  });
  ASSERT_EQ(events.size(), 2U);
  for (const Seen& event : events) expect(event.exe, std::string("/memfd:some name (deleted)"));
}

TEST_P(StringsAndPlaces, ADirectoryThatLiesDeep) {
  const TemporaryDirectory directory;
  Recorder recorder(wish(kExecAndExit));
  ASSERT_TRUE(recorder.ok());
  // Enters a directory of this name again and again, until the path is about this many bytes long.
  const auto go_down = [&](const std::string& name, size_t most) {
    (void)!::chdir(directory.path().c_str());
    for (size_t size = directory.path().size(); size + name.size() + 1 <= most;
         size += name.size() + 1) {
      ::mkdir(name.c_str(), 0700);
      (void)!::chdir(name.c_str());
    }
  };
  for (const auto& [name, most] : {std::pair(std::string(200, 'd'), 1850),
                                   {std::string(255, 'd'), 4000},
                                   {std::string("e"), 700}}) {
    const auto events = run(recorder, [&] {
      go_down(name, static_cast<size_t>(most));
      become_true();
    });
    std::string right = directory.path();
    while (right.size() + name.size() + 1 <= static_cast<size_t>(most)) right += "/" + name;
    ASSERT_EQ(events.size(), 2U);
    for (const Seen& event : events) expect(event.cwd, right);
  }
  // A path that the kernel cannot report is null; no other path is reported instead.
  for (const auto& [name, most] :
       {std::pair(std::string(255, 'd'), 4700), {std::string("e"), 1600}}) {
    const auto events = run(recorder, [&] {
      go_down(name, static_cast<size_t>(most));
      become_true();
    });
    ASSERT_EQ(events.size(), 2U);
    for (const Seen& event : events) {
      const bool by_proc = over_connector() && name == "e";
      EXPECT_TRUE(!event.cwd || by_proc) << event.cwd->size();
    }
  }
}

TEST_P(StringsAndPlaces, ADirectoryBelowManyMounts) {
  const TemporaryDirectory directory;
  Recorder recorder(wish(kExecAndExit));
  ASSERT_TRUE(recorder.ok());
  std::string right = directory.path();
  for (int i = 0; i < 20; i++) right += "/m";
  const auto events = run(recorder, [&] {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr))
      ::_exit(1);
    std::string at = directory.path();
    for (int i = 0; i < 20; i++) {
      if (::mount("knell", at.c_str(), "tmpfs", 0, nullptr) != 0) ::_exit(1);
      at += "/m";
      ::mkdir(at.c_str(), 0700);
    }
    (void)!::chdir(at.c_str());
    become_true();
  });
  ASSERT_EQ(events.size(), 2U);
  for (const Seen& event : events) expect(event.cwd, right);
}

namespace {

// The mount point of the cgroups that knell reports: systemd's hierarchy if there is one.
std::string cgroup_root(bool& renames) {
  std::ifstream mounts("/proc/self/mounts");
  std::string unified;
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream words(line);
    std::string source, point, type, options;
    words >> source >> point >> type >> options;
    renames = type == "cgroup" && options.find("name=systemd") != std::string::npos;
    if (renames) return point;
    if (type == "cgroup2") unified = point;
  }
  return unified;
}

// A cgroup, removed with all below it.
class Cgroup {
 public:
  explicit Cgroup(std::string path) : path_(std::move(path)) {
    there_ = ::mkdir(path_.c_str(), 0755) == 0;
  }
  ~Cgroup() { remove(path_); }
  bool there() const { return there_; }
  const std::string& path() const { return path_; }
  void rename(const std::string& path) {
    ASSERT_EQ(::rename(path_.c_str(), path.c_str()), 0) << std::strerror(errno);
    path_ = path;
  }

 private:
  static void remove(const std::string& path) {
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(path, ignored))
      if (entry.is_directory(ignored)) remove(entry.path());
    ::rmdir(path.c_str());
  }
  std::string path_;
  bool there_;
};

void enter(const std::string& cgroup) {
  std::ofstream(cgroup + "/cgroup.procs") << "0" << std::flush;
}

std::string fresh(const char* name) { return std::string("/") + name + std::to_string(::getpid()); }

}  // namespace

TEST_P(StringsAndPlaces, ACgroupWithALongPath) {
  if (over_connector()) GTEST_SKIP() << "the connector has the cgroup of the fork, read too late";
  bool renames = false;
  const std::string root = cgroup_root(renames);
  if (root.empty()) GTEST_SKIP() << "no cgroups are mounted here";
  Recorder recorder(wish(kExecAndExit));
  ASSERT_TRUE(recorder.ok());
  const Cgroup top(root + fresh("knell-long"));
  if (!top.there()) GTEST_SKIP() << "no cgroup can be made here";
  std::string deep = top.path();
  for (int i = 0; i < 6; i++) {
    deep += "/" + std::string(200, 'd');
    ASSERT_EQ(::mkdir(deep.c_str(), 0755), 0);
  }
  const auto events = run(recorder, [&] {
    enter(deep);
    become_true();
  });
  ASSERT_EQ(events.size(), 2U);
  for (const Seen& event : events) expect(event.cgroup, deep.substr(root.size()));
}

TEST_P(StringsAndPlaces, ACgroupWithANewName) {
  if (over_connector()) GTEST_SKIP() << "the connector has the cgroup of the exec";
  bool renames = false;
  const std::string root = cgroup_root(renames);
  if (!renames) GTEST_SKIP() << "cgroups of version 2 keep their names";
  Recorder recorder(wish(kExecAndExit));
  ASSERT_TRUE(recorder.ok());
  Cgroup top(root + fresh("knell-before"));
  if (!top.there()) GTEST_SKIP() << "no cgroup can be made here";
  ASSERT_EQ(::mkdir((top.path() + "/below").c_str(), 0755), 0);
  const auto cgroup_of_child = [&] {
    const auto events = run(recorder, [&] {
      enter(top.path() + "/below");
      become_true();
    });
    return events.empty() ? std::nullopt : events.back().cgroup;
  };
  EXPECT_EQ(cgroup_of_child(), fresh("knell-before") + "/below");
  top.rename(root + fresh("knell-after"));
  EXPECT_EQ(cgroup_of_child(), fresh("knell-after") + "/below");
}

INSTANTIATE_TEST_SUITE_P(Over, StringsAndPlaces, testing::Values("connector", "bpf", "daemon"),
                         [](const auto& one) { return std::string(one.param); });

}  // namespace knell::test
