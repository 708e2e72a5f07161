// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/frame/program_image.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/unique_fd.h"

#ifdef KNELL_BENCH_TINY
// clang-format off
__asm__(
    ".pushsection .rodata\n"
    "knell_bench_tiny_begin:\n"
    ".incbin \"" KNELL_BENCH_TINY "\"\n"
    "knell_bench_tiny_end:\n"
    ".byte 0\n"
    ".popsection\n");
// clang-format on
extern "C" {
extern const char knell_bench_tiny_begin[];  // NOLINT: the assembler's names
extern const char knell_bench_tiny_end[];    // NOLINT
}
#endif

namespace knell::bench {

Outcome<std::string> tiny_program() {
#ifdef KNELL_BENCH_TINY
  // Kept open as long as we live. Executable only by a descriptor opened for reading: a file that
  // is open for writing is busy.
  static UniqueFd image;
  if (!image) {
    const UniqueFd file(::memfd_create("true", MFD_CLOEXEC));
    const auto size = static_cast<size_t>(knell_bench_tiny_end - knell_bench_tiny_begin);
    if (!file || ::write(file.get(), knell_bench_tiny_begin, size) != static_cast<ssize_t>(size)) {
      return std::unexpected(errno_error("put a program into memory").error());
    }
    const std::string path = fmt::format("/proc/self/fd/{}", file.get());
    image.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!image) return std::unexpected(errno_error("open the program in memory").error());
  }
  return fmt::format("/proc/self/fd/{}", image.get());
#else
  return std::string("/bin/true");
#endif
}

}  // namespace knell::bench
