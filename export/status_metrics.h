// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "export/families.h"

namespace knell::exporter {

// Appends the metrics of knelld's status (docs/status.md). `status` empty: knelld does not answer;
// then there is only knell_daemon_up. What `knell status -o prometheus` has too has the same name
// here. The number of series does not depend on listeners, users or units.
void append_status(Families& out, std::string_view status);

}  // namespace knell::exporter
