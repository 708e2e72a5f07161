// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/frame/machine.h"

#include <knell/knell.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <ctime>
#include <fstream>

#include "bench/frame/rapidjson.h"
#include "bench_commit.h"

namespace knell::bench {
namespace {

std::string kernel() {
  utsname name{};
  if (::uname(&name) != 0) return "unknown";
  return fmt::format("{} {} {}", name.sysname, name.release, name.machine);
}

std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

std::string date() {
  const time_t now = ::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  char text[32];
  return std::string(text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc));
}

std::string command_line(int argc, char** argv) {
  std::string line;
  for (int i = 0; i < argc; ++i) line += fmt::format("{}{}", i == 0 ? "" : " ", argv[i]);
  return line;
}

long cores_online() { return ::sysconf(_SC_NPROCESSORS_ONLN); }

}  // namespace

std::string machine_text(const Run& run) {
  return fmt::format(
      "knell-bench {} ({}), {}, {} cores ({}), storm on core {}, listeners on {}, {} rounds of "
      "{}\n",
      knell_version(), KNELL_BENCH_COMMIT, kernel(), cores_online(), cpu_model(), run.cores.storm,
      cores_text(run.cores.listeners), run.rounds, run.processes);
}

std::string machine_json(const Run& run, std::string_view case_name, int argc, char** argv) {
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer> out(buffer);
  const auto text = [&](const char* key, std::string_view value) {
    out.Key(key);
    out.String(value.data(), static_cast<rapidjson::SizeType>(value.size()));
  };
  const auto number = [&](const char* key, uint64_t value) {
    out.Key(key);
    out.Uint64(value);
  };
  out.StartObject();
  text("program", "knell-bench");
  number("format", 1);
  text("case", case_name);
  text("version", knell_version());
  text("commit", KNELL_BENCH_COMMIT);
  text("date", date());
  text("command", command_line(argc, argv));
  text("kernel", kernel());
  text("cpu", cpu_model());
  number("cores", static_cast<uint64_t>(cores_online()));
  number("storm_core", static_cast<uint64_t>(run.cores.storm));
  text("listener_cores", cores_text(run.cores.listeners));
  number("rounds", run.rounds);
  number("processes", run.processes);
  out.EndObject();
  const std::string_view object(buffer.GetString(), buffer.GetSize());
  return std::string(object.substr(1, object.size() - 2));  // without its braces: more follows
}

}  // namespace knell::bench
