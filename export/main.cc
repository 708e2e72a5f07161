// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include <clocale>
#include <string>
#include <vector>

#include "export/program.h"

int main(int argc, char** argv) {
  std::setlocale(LC_CTYPE, "C.UTF-8");
  return knell::exporter::run_export(
      std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
}
