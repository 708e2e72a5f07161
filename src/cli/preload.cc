// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/preload.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <link.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <knell/knell.hpp>
#include <optional>
#include <string_view>

#include "base/unique_fd.h"

// LD_PRELOAD is read by the dynamic loader that the program names. So nothing is preloaded into a
// program without a loader, or into one for another machine or C library. Into a program that gains
// privileges by exec, which the kernel tells the loader by AT_SECURE, only libraries that its owner
// allows are preloaded. A Go program makes its system calls itself, even if dynamically linked; its
// linker writes a note with the name "Go" (the build ID).
namespace knell::cli {
namespace {

// How many scripts may interpret one another, as in the kernel
constexpr int kMostInterpreters = 5;

std::unexpected<Error> cannot(const std::string& path, std::string_view why) {
  return say(ENOEXEC, fmt::format("{}: {}", printable(path), why));
}

// The parts of an ELF file that are needed here.
struct Program {
  ElfW(Ehdr) header {};
  std::string loader;  // from PT_INTERP; empty: statically linked
};

bool read_at(int fd, void* to, size_t bytes, uint64_t at) {
  return ::pread(fd, to, bytes, static_cast<off_t>(at)) == static_cast<ssize_t>(bytes);
}

// Calls `visit` with the content of each segment of type `type`, at most `most` bytes of it, until
// `visit` returns true.
template <class Visit>
void for_each_segment(int fd, const ElfW(Ehdr) & header, uint32_t type, size_t most, Visit visit) {
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    ElfW(Phdr) part;
    if (!read_at(fd, &part, sizeof part, header.e_phoff + i * sizeof part)) return;
    if (part.p_type != type) continue;
    std::string content(std::min<size_t>(part.p_filesz, most), '\0');
    if (!read_at(fd, content.data(), content.size(), part.p_offset) ||
        visit(std::move(content), part.p_align))
      return;
  }
}

std::string read_loader(int fd, const ElfW(Ehdr) & header) {
  std::string loader;
  for_each_segment(fd, header, PT_INTERP, PATH_MAX, [&](std::string path, size_t) {
    path.resize(std::strlen(path.c_str()));
    loader = std::move(path);
    return true;
  });
  return loader;
}

// Whether the note segment `notes` has a note named `name`.
bool has_note(std::string_view notes, size_t alignment, std::string_view name) {
  const auto aligned = [&](uint64_t bytes) { return (bytes + alignment - 1) & ~(alignment - 1); };
  ElfW(Nhdr) note;
  while (notes.size() >= sizeof note) {
    std::memcpy(&note, notes.data(), sizeof note);
    const uint64_t content = aligned(sizeof note + uint64_t{note.n_namesz});
    const uint64_t whole = aligned(content + note.n_descsz);
    std::string_view owner = notes.substr(sizeof note, note.n_namesz);
    owner = owner.substr(0, owner.find('\0'));  // Go's linker pads the name with zeros
    if (owner == name) return true;
    if (whole > notes.size()) break;
    notes.remove_prefix(whole);
  }
  return false;
}

bool is_go(int fd, const ElfW(Ehdr) & header) {
  constexpr size_t kMostNotes = 65536;  // chosen, not measured
  bool found = false;
  for_each_segment(fd, header, PT_NOTE, kMostNotes, [&](const std::string& notes, size_t align) {
    return found = has_note(notes, align == 8 ? 8 : 4, "Go");
  });
  return found;
}

Program own_program() {
  Program program;
  const UniqueFd self(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  if (self && read_at(self.get(), &program.header, sizeof program.header, 0))
    program.loader = read_loader(self.get(), program.header);
  return program;
}

std::string_view file_name(std::string_view path) {
  return path.substr(path.find_last_of('/') + 1);
}

Result<void> check_elf(const std::string& path, int fd, std::string_view front, Go go) {
  const Program self = own_program();
  Program program;
  std::memcpy(&program.header, front.data(), std::min(front.size(), sizeof program.header));
  const auto& ident = program.header.e_ident;
  const bool known = self.header.e_ident[EI_CLASS] != ELFCLASSNONE;  // false without /proc
  if (known && (ident[EI_CLASS] != self.header.e_ident[EI_CLASS] ||
                ident[EI_DATA] != self.header.e_ident[EI_DATA] ||
                program.header.e_machine != self.header.e_machine))
    return cannot(path,
                  "built for another architecture than knell, so libknell-compat cannot be loaded "
                  "into it; use a knell of the same architecture");
  if (go == Go::kRefuse && is_go(fd, program.header))
    return cannot(
        path,
        "a Go program, which makes its system calls itself, so libknell-compat cannot intercept "
        "its sockets; run it without knell compat or let it connect to knelld's socket "
        "(docs/compat.md), or use --force if C code in it opens the socket");
  program.loader = read_loader(fd, program.header);
  if (program.loader.empty())
    return cannot(
        path,
        "statically linked, so libknell-compat cannot be loaded into it; link it dynamically");
  if (!self.loader.empty() && file_name(program.loader) != file_name(self.loader))
    return cannot(path, fmt::format("loaded by {}, but libknell-compat by {}; use a knell built "
                                    "for the same C library",
                                    printable(program.loader), self.loader));
  return {};
}

// Whether the kernel would set AT_SECURE for the program.
Result<void> check_rights(const std::string& path, int fd) {
  struct stat info{};
  struct statvfs mount{};
  if (::fstat(fd, &info) != 0) return errno_error("stat " + printable(path));
  const bool ignored = ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ||
                       (::fstatvfs(fd, &mount) == 0 && (mount.f_flag & ST_NOSUID) != 0);
  if (ignored) return {};
  constexpr mode_t kSetGid = S_ISGID | S_IXGRP;
  if ((info.st_mode & S_ISUID) != 0 && info.st_uid != ::getuid())
    return cannot(path,
                  "set-user-ID, so libknell-compat is not loaded into it; run it as its owner");
  if ((info.st_mode & kSetGid) == kSetGid && info.st_gid != ::getgid())
    return cannot(path,
                  "set-group-ID, so libknell-compat is not loaded into it; run it in its group");
  if (::getuid() != 0 && ::fgetxattr(fd, "security.capability", nullptr, 0) > 0)
    return cannot(path,
                  "has file capabilities, so libknell-compat is not loaded into it; run it as "
                  "root, or run a copy without them");
  return {};
}

// "#!/usr/bin/env python3" -> "/usr/bin/env".
std::optional<std::string> interpreter(std::string_view front) {
  if (!front.starts_with("#!")) return std::nullopt;
  front = front.substr(2, front.find('\n') - 2);
  const size_t begin = std::min(front.find_first_not_of(" \t"), front.size());
  front.remove_prefix(begin);
  return std::string(front.substr(0, front.find_first_of(" \t\r")));
}

}  // namespace

Result<void> check_preloadable(const std::string& path, Go go) {
  std::string file = path;
  for (int depth = 0; depth < kMostInterpreters; ++depth) {
    const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    // A program that may be executed but not read: the kernel does not let us look into it, either.
    if (!fd) return errno_error("open " + printable(file));
    std::array<char, 512> buffer{};
    const ssize_t got = ::read(fd.get(), buffer.data(), buffer.size());
    if (got < 0) return errno_error("read " + printable(file));
    const std::string_view front(buffer.data(), static_cast<size_t>(got));
    if (front.size() >= sizeof(ElfW(Ehdr)) && front.starts_with(ELFMAG)) {
      KNELL_TRY(check_elf(file, fd.get(), front, go));
      return check_rights(file, fd.get());
    }
    // Without #!, execvp() runs the file by the shell.
    file = interpreter(front).value_or("/bin/sh");
  }
  return cannot(path, "its interpreter is a script, whose interpreter is a script, too many times");
}

Result<std::string> compat_library() {
  constexpr std::string_view kName = "libknell-compat.so";
  Dl_info info{};
  void* symbol = ::dlsym(RTLD_DEFAULT, "knell_version");
  std::array<char, PATH_MAX> real{};
  if (symbol == nullptr || ::dladdr(symbol, &info) == 0 ||
      ::realpath(info.dli_fname, real.data()) == nullptr)
    return say(ENOENT, fmt::format("cannot find the directory of {}", kName));
  std::string path(real.data());
  path.resize(path.find_last_of('/') + 1);
  path += kName;
  if (::access(path.c_str(), R_OK) != 0)
    return errno_error(fmt::format("read {}, which is installed with knell", printable(path)));
  if (path.find_first_of(" :") != std::string::npos)
    return say(EINVAL, fmt::format("{}: a library to preload cannot have spaces or colons in its "
                                   "path; install knell elsewhere",
                                   printable(path)));
  return path;
}

}  // namespace knell::cli
