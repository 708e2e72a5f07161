// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// `knell durable`: lists the durable listeners of knelld, and removes one.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <knell/knell.hpp>

#include "base/numbers.h"
#include "cli/command.h"
#include "cli/daemon_check.h"
#include "cli/listen.h"
#include "cli/output_buffer.h"
#include "cli/status_text.h"
#include "cli/text.h"

namespace knell::cli {
namespace {

class Durable final : public Command {
 public:
  std::string_view name() const override { return "durable"; }
  std::string_view synopsis() const override { return "[OPTIONS] [list|rm NAME]"; }
  std::string_view summary() const override { return "lists or removes durable listeners"; }
  std::string_view notes() const override {
    return "A durable listener (knell watch --durable NAME) keeps its place in the journal of "
           "knelld.\n"
           "Root and group knell see those of all users; root removes that of another user with\n"
           "UID:NAME.\n"
           "\n"
           "Exit status: 0 done; 3 there is no daemon; 1 failed; 2 wrong usage.\n"
           "\n"
           "Examples:\n"
           "  knell durable\n"
           "  knell durable -o json | jq 'select(.pending > 1000)'\n"
           "  knell durable rm cleanup\n";
  }
  void add_options(CommandLine& line) override {
    line.add_value("-o,--output", format_, "FORMAT", "table (default) or json, an object a line");
    line.add_words("ACTION", words_, "list (default), or rm NAME");
  }
  Outcome<int> execute(std::vector<std::string> tail) override;

 private:
  Outcome<int> list() const;
  Outcome<int> remove() const;

  std::string format_;
  std::vector<std::string> words_;
};

Outcome<int> Durable::list() const {
  KNELL_ASSIGN(const bool as_json, wants_json(format_));
  KNELL_ASSIGN(const std::string json, ask_status());
  const auto parsed = parse_json_object(json);
  if (!parsed) return failed("the status of knelld is not a JSON object");
  OutputBuffer out(STDOUT_FILENO, "standard output");
  if (as_json)
    append_json_elements(out.buffer(), json, "durable");
  else
    append_durable_table(out.buffer(), *parsed, Screen::of(STDOUT_FILENO));
  KNELL_TRY(out.flush());
  return kDone;
}

Outcome<int> Durable::remove() const {
  if (words_.size() != 2) return usage("rm takes the name of one durable listener");
  if (!format_.empty()) return usage("-o cannot be used with rm");
  std::string name = words_[1];
  int64_t owner = -1;
  if (const size_t colon = name.find(':'); colon != std::string::npos) {
    const auto uid = parse_number(name.substr(0, colon), 0, UINT32_C(0xfffffffe));
    if (!uid) return usage("rm takes NAME or UID:NAME, not '{}'", printable(name));
    owner = *uid;
    name.erase(0, colon + 1);
  }
  const int removed = knell_remove_durable(name.c_str(), owner);
  if (removed == 0) return kDone;
  const std::string why = printable(std::string_view(knell_explain()));
  if (removed == -EINVAL) return usage("{}", why);
  const bool no_such_name = removed == -ENOENT && why.find("durable") != std::string::npos;
  if (!no_such_name && (removed == -ENOENT || removed == -ECONNREFUSED))
    return fail(kNothingHere, explain_no_daemon());
  return fail(kFailed, why);
}

Outcome<int> Durable::execute(std::vector<std::string>) {
  if (words_.empty() || words_ == std::vector<std::string>{"list"}) return list();
  if (words_.front() == "rm") return remove();
  if (words_.front() == "list") return usage("list takes no name; it lists all durable listeners");
  return usage("durable takes list, or rm NAME, not '{}'", printable(words_.front()));
}

}  // namespace

std::unique_ptr<Command> make_durable() { return std::make_unique<Durable>(); }

}  // namespace knell::cli
