// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/timeline_output.h"

#include <fcntl.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "cli/output_buffer.h"
#include "cli/text.h"

namespace knell::cli {

Outcome<Format> timeline_format_of(const std::string& path) {
  constexpr std::pair<std::string_view, Format> kEndings[] = {
      {".html", Format::kHtml},
      {".htm", Format::kHtml},
      {".svg", Format::kSvg},
      {".pftrace", Format::kPerfetto},
      {".perfetto-trace", Format::kPerfetto},
  };
  for (const auto& [ending, format] : kEndings)
    if (path.ends_with(ending)) return format;
  return usage("--timeline {}: the name must end with .html, .svg or .pftrace, the format",
               printable(path));
}

Outcome<void> write_timeline(const Timeline& timeline, Format format, size_t bars, int fd,
                             std::string name) {
  OutputBuffer out(fd, std::move(name));
  bool closed = false;
  BufferedWriter writer([&](std::string_view bytes) -> Outcome<void> {
    if (closed) return {};
    out.buffer() += bytes;
    KNELL_ASSIGN(const auto reader, out.flush());
    closed = reader == OutputBuffer::Reader::kClosed;
    return {};
  });
  return write_timeline(timeline, format, bars, writer);
}

Outcome<TimelineFile> TimelineFile::create(const std::string& path,
                                           const std::vector<std::string>& command) {
  KNELL_ASSIGN(const Format format, timeline_format_of(path));
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666));
  if (!fd) return failed("--timeline {}: {}", printable(path), std::strerror(errno));
  std::string words;
  for (const std::string& word : command) words.append(word).push_back('\0');
  knell_event typed{};
  typed.args = {words.data(), words.size()};
  return TimelineFile(path, command_text(typed), format, std::move(fd));
}

Outcome<void> TimelineFile::write(std::string origin) {
  const Timeline timeline(history_, title_, std::move(origin));
  return write_timeline(timeline, format_, 0, fd_.get(), printable(path_));
}

}  // namespace knell::cli
