// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The C ABI of the journal.
#include <knell/knell.h>

#include <string>

#include "client/connection_to_server.h"
#include "journal/verify.h"
#include "lib/abi.h"
#include "lib/daemon_history.h"
#include "lib/file_history.h"
#include "lib/handle.h"
#include "lib/structure_size.h"

namespace knell::lib {
namespace {

std::string path_or_default(const char* path) {
  return path == nullptr ? KNELL_JOURNAL_PATH : path;
}

// The journal at its default path or, if that cannot be read, the events that knelld returns from
// its journal.
Result<std::unique_ptr<knell_listener>> open_default(const knell_history_options& options) {
  auto file = FileHistory::create(KNELL_JOURNAL_PATH, options);
  if (file) return file;
  const Error why = file.error();
  const std::string socket = client::socket_path();
  if ((why.code != ENOENT && why.code != EACCES) || socket.empty()) return std::unexpected(why);
  auto daemon = DaemonHistory::create(options, socket);
  if (daemon) return daemon;
  return say(why.code,
             why.message() + "; and reading through knelld fails: " + daemon.error().message());
}

Result<std::unique_ptr<knell_listener>> open_history(const char* path,
                                                     const knell_history_options* given) {
  KNELL_ASSIGN(const knell_history_options options, copy_request(given));
  if (options.follow > 1 || options.this_boot > 1 || options.reserved != 0)
    return say(EINVAL, "follow and this_boot must be 0 or 1, and reserved 0");
  if (options.since_ns < 0 || options.until_ns < 0)
    return say(EINVAL, "since_ns and until_ns must not be negative");
  if (path == nullptr) return open_default(options);
  return FileHistory::create(path, options);
}

bool report(const journal::Verification& found, const std::string& path,
            int (*on_finding)(const knell_finding*, void*), void* context) {
  const auto pass = [&](uint32_t level, const std::string& text) {
    const knell_finding finding{.size = sizeof finding,
                                .level = level,
                                .subject = "journal",
                                .text = text.c_str(),
                                .fix = nullptr};
    return on_finding == nullptr || on_finding(&finding, context) == 0;
  };
  for (const std::string& problem : found.problems)
    if (!pass(KNELL_FINDING_NO, problem)) return false;
  std::string summary = path + ": " + std::to_string(found.events) + " events";
  if (found.newest_seq != 0)
    summary += ", seq " + std::to_string(found.oldest_seq) + " to " +
               std::to_string(found.newest_seq) + ", of journal " + found.id;
  return pass(found.problems.empty() ? KNELL_FINDING_OK : KNELL_FINDING_NOTE, summary);
}

}  // namespace
}  // namespace knell::lib

using namespace knell::lib;

int knell_open_history(const char* path, const knell_history_options* options,
                       knell_listener** ret_knell) {
  return guarded([&]() -> int {
    if (ret_knell == nullptr)
      return store_error(knell::Error{EINVAL, "ret_knell must not be NULL", true});
    const knell_history_options defaults = KNELL_HISTORY_OPTIONS_INIT;
    auto listener = open_history(path, options == nullptr ? &defaults : options);
    if (!listener) return store_error(listener.error());
    *ret_knell = listener->release();
    return 0;
  });
}

int knell_verify_journal(const char* path, int (*on_finding)(const knell_finding*, void*),
                         void* context) {
  return guarded([&]() -> int {
    const std::string name = path_or_default(path);
    const auto found = knell::journal::verify(name);
    if (!found) return store_error(explained(found.error(), name));
    report(*found, name, on_finding, context);
    if (found->problems.empty()) return 0;
    return store_error(knell::Error{EBADMSG, name + ": is damaged", true});
  });
}
