// A polite request to stop: SIGUSR1 or SIGTERM, looked at between steps.
#pragma once

namespace lora_dist {

/// From now on SIGUSR1 and SIGTERM only note that a stop was asked for. To be called before any other thread is started, so that
/// all of them inherit the mask: the signals are blocked everywhere and one thread waits for them. There is no handler, because a
/// handler runs on the stack of the thread it interrupts, and oneDNN's fast products use the stack pointer for data: an
/// interrupted product would have its operands overwritten.
void listen_for_stop_requests();

/// True once one came.
bool stop_requested();

/// SIGUSR1 and SIGTERM end the process again, at once; one that was noted before does so now.
void end_on_stop_requests();

}  // namespace lora_dist
