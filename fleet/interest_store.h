// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "fleet/connection.h"
#include "fleet/interest.h"

namespace knell::fleet {

// Changes the interest of the fleet by `change`, which may be called several times when other
// readers change it too, and publishes it to the hosts. Errors: those of `change`; ENOENT: the
// server has no bucket; EBADMSG: the stored value is invalid, and is not replaced; E2BIG: the
// changed value is above the limits; EACCES; ETIMEDOUT; EAGAIN: too many others change it.
Result<FleetInterest> change_interest(Connection& connection,
                                      const std::function<Result<void>(FleetInterest&)>& change);
// Reads it. Errors: as above.
Result<FleetInterest> stored_interest(Connection& connection);

}  // namespace knell::fleet
