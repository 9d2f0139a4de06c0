// A polite request to stop: SIGUSR1 or SIGTERM, looked at between steps.
#pragma once

namespace lora_dist {

/// From now on SIGUSR1 and SIGTERM only note that a stop was asked for.
void listen_for_stop_requests();
/// True once one came.
bool stop_requested();

}  // namespace lora_dist
