// The command line: which command, and its options.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "src/plan/plan_options.h"

namespace lora_dist {

struct CommandLine {
  std::string command = "train";
  bool command_given = false;  // false: train is meant
  bool help = false;
  bool version = false;
  std::set<std::string> given;  // names of the options that were written

  // train, eval, data, plan, doctor; quantize
  std::string cfg;                // --cfg FILE, as given
  std::vector<std::string> sets;  // --set section.key=value, in order
  bool print_config = false;
  int samples = 3;    // data: how many are shown
  bool json = false;  // data, doctor

  // score, generate; merge and quantize know model, output and how the base is kept, eval knows --adapter
  std::string model;
  std::string adapter;
  std::string quantization = "none";   // none | nf4 | fp4 | int8
  std::string backend = "auto";        // auto | cpu | cuda
  std::string compute_dtype = "auto";  // auto | fp32 | bf16 | fp16
  bool double_quant = true;            // of nf4 and fp4
  int block_size = 64;                 // of nf4 and fp4: weights per scale
  bool has_prompt = false;             // generate: either prompt, which may be empty, or input
  std::string prompt;
  bool chat = false;  // a prompt is a user's message, for the model's own chat template
  std::string input;
  std::string output;
  int max_new_tokens = 128;
  double temperature = 0.0;               // 0: greedy
  double top_p = 1.0;                     // 1: off
  int top_k = 0;                          // 0: off
  double repetition_penalty = 1.0;        // 1: off
  bool ignore_generation_config = false;  // the folder's generation_config.json
  std::int64_t seed = 42;

  // merge
  std::vector<std::string> adapters;  // --adapter DIR or DIR=WEIGHT, in order
  std::string onto = "dequantized";   // dequantized | full; where it is not given, as the adapters were trained
  std::string text;                   // lines to compare both ways on

  PlanOptions plan;

  // inspect
  std::string path;
  bool verify = false;
};

/// `arguments` without the program's name. Throws Error(usage, every_rank) for an unknown command or option (naming a similar
/// one), a value out of range, a missing option.
CommandLine parse_command_line(const std::vector<std::string>& arguments);

}  // namespace lora_dist
