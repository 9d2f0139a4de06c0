// The commands, one file each. A command is called by every rank and returns the program's exit code, the same on all ranks.
#pragma once

#include "src/comm/communicator.h"
#include "src/comm/process.h"
#include "src/commands/command_line.h"

namespace lora_dist {

int run_train(Communicator& world, const ProcessPlace& place, const CommandLine& line);
int run_eval(Communicator& world, const ProcessPlace& place, const CommandLine& line);
int run_score(Communicator& world, const ProcessPlace& place, const CommandLine& line);
int run_generate(Communicator& world, const ProcessPlace& place, const CommandLine& line);
int run_merge(Communicator& world, const ProcessPlace& place, const CommandLine& line);
int run_quantize(Communicator& world, const ProcessPlace& place, const CommandLine& line);
int run_data(Communicator& world, const ProcessPlace& place, const CommandLine& line);
int run_plan(Communicator& world, const ProcessPlace& place, const CommandLine& line);
int run_doctor(Communicator& world, const ProcessPlace& place, const CommandLine& line);
int run_inspect(Communicator& world, const ProcessPlace& place, const CommandLine& line);

}  // namespace lora_dist
