// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/external.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace knell::cli {
namespace {

TEST(ExternalCommands, AMissingProgramNamesItsPackage) {
  const ExternalCommand command{"nosuch", "knell-nosuch", "does nothing"};
  const auto done = execute_external(command, "/nowhere/bin/knell", {"--help"});
  ASSERT_FALSE(done.has_value());
  EXPECT_EQ(done.error().status, kFailed);
  EXPECT_EQ(done.error().line,
            "knell-nosuch is not installed; knell nosuch needs the package knell-nosuch: apt "
            "install knell-nosuch");
}

TEST(ExternalCommands, TheProgramBesideKnellIsExecutedWithTheArguments) {
  const ExternalCommand command{"shell", "sh", "is /bin/sh"};
  EXPECT_EXIT((void)execute_external(command, "/bin/knell", {"-c", "exit $1", "sh", "43"}),
              testing::ExitedWithCode(43), "");
}

TEST(ExternalCommands, EachProgramIsNamedAfterItsCommand) {
  for (const ExternalCommand& command : external_commands())
    EXPECT_EQ(command.program, "knell-" + std::string(command.name));
}

}  // namespace
}  // namespace knell::cli
