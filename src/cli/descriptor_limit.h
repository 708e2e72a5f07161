// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace knell::cli {

// Raises the limit of open descriptors to its maximum, for a command that holds a pidfd of each
// process. If that fails, knell_add() reports the lack.
void raise_descriptor_limit();

}  // namespace knell::cli
