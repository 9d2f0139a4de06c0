// lora_dist generate: continues a prompt on the screen, or prompts of a JSONL file.
#include "src/inference/generate.h"

#include <algorithm>
#include <optional>

#include "src/comm/agree.h"
#include "src/commands/generation_options.h"
#include "src/commands/input_lines.h"
#include "src/commands/model_options.h"
#include "src/commands/option_values.h"
#include "src/core/error.h"
#include "src/data/chat_sample.h"
#include "src/data/tokenize.h"
#include "src/inference/output_lines.h"
#include "src/inference/sampling_config.h"
#include "src/job/open_model.h"

namespace lora_dist {

namespace {

using nlohmann::json;
namespace po = boost::program_options;

struct GenerateOptions {
  ModelOptions model;
  std::optional<std::string> prompt;  // given (may be empty) unless `input` is
  bool chat = false;                  // the prompt is a user's message for the model's chat template
  std::string input;
  std::string output;
  GenerationOptions generation;
};

void describe(CommandUse& use, GenerateOptions& options) {
  describe_model_options(use, options.model);
  use.options.add_options()                                             //
      ("prompt", value_of(options.prompt, "TEXT"), "text to continue")  //
      ("chat", po::bool_switch(&options.chat),
       "a prompt is a user's message: put it into the model's own chat template and answer it")                      //
      ("input", path_of(options.input, "F.jsonl"), "a {\"prompt\": ...} or {\"messages\": [...]} per line instead")  //
      ("output", path_of(options.output, "F.jsonl"), "where answers to --input are written; standard output by default");
  describe_generation_options(use, options.generation);
}

void check(const GenerateOptions& options) {
  check_needed("generate", {{!options.model.model.empty(), "--model DIR"},
                            {options.prompt.has_value() == options.input.empty(), "either --prompt TEXT or --input FILE"}});
  check_model_options(options.model);
  if (options.input.empty() && !options.output.empty()) {
    fail_usage("--output goes with --input; the answer to --prompt is printed");
  }
  check_generation_options(options.generation);
}

/// The prompt of the command line as an input line.
InputLine prompt_line(const std::string& prompt, bool chat, const OpenModel& model) {
  if (!model.tokenizer) {
    throw Error(ExitCode::model,
                fmt::format("{}: has no tokenizer.json or tokenizer.model; give prompts as input_ids in a file with --input",
                            model.folder.string()));
  }
  InputLine line;
  if (chat) {
    line = chat_line(prompt, *model.tokenizer, "--prompt");
  } else {
    line = {1, prompt, encode_prompt(*model.tokenizer, prompt), {}};
  }
  check_ids(line.ids, model.spec.vocab, "--prompt");
  if (line.ids.empty()) {
    throw Error(ExitCode::data, "the prompt has no tokens, and this tokenizer adds no BOS; give some text with --prompt");
  }
  return line;
}

/// The stop ids of a conversation: `ids`, and the end-of-turn token.
std::vector<std::int64_t> chat_stop_ids(const OpenModel& model, std::vector<std::int64_t> ids,
                                        const std::vector<InputLine>& lines) {
  if (std::any_of(lines.begin(), lines.end(), [](const InputLine& line) { return line.chat; })) {
    if (const auto end = end_of_turn(require_chat_template(*model.tokenizer), *model.tokenizer)) {
      ids.push_back(*end);
    }
  }
  return ids;
}

struct Generator {
  const OpenModel& model;
  const ForwardContext& transformer;
  KvCache& cache;
  Communicator& world;
  SamplingOptions options;
  std::vector<std::int64_t> stop;
  std::vector<std::int64_t> stop_in_chat;

  std::vector<std::int32_t> run(const InputLine& line, const std::function<void(std::int32_t)>& on_token = {}) const {
    return generate(transformer, line.ids, cache, options, line.chat ? stop_in_chat : stop, world, on_token);
  }
};

/// Streams the text.
void stream_answer(const Generator& generator, const InputLine& line) {
  StreamDecoder decoder;
  decoder.tokenizer = &*generator.model.tokenizer;
  decoder.context = {line.ids.back()};
  const bool speaks = generator.world.rank() == 0;
  const auto show = [&](const std::string& text) {
    if (speaks) {
      fmt::print("{}", text);
      std::fflush(stdout);
    }
  };
  show(line.chat ? "" : line.text);
  generator.run(line, [&](std::int32_t id) { show(push(decoder, id)); });
  show(finish(decoder) + "\n");
}

/// The text of ids as a continuation of the preceding token: decoded alone, it would lack its leading space.
std::string continuation(const Tokenizer& tokenizer, std::int32_t before, const std::vector<std::int32_t>& ids) {
  StreamDecoder decoder;
  decoder.tokenizer = &tokenizer;
  decoder.context = {before};
  std::string text;
  for (const std::int32_t id : ids) {
    text += push(decoder, id);
  }
  return text + finish(decoder);
}

json answer_line(const Generator& generator, const InputLine& line) {
  const std::vector<std::int32_t> ids = generator.run(line);
  json answer = {{"id", line.id}, {"input_ids", line.ids}, {"output_ids", ids}};
  if (generator.model.tokenizer) {
    answer["prompt"] = line.text;
    answer["text"] = continuation(*generator.model.tokenizer, line.ids.back(), ids);
  }
  return answer;
}

int run(Communicator& world, const ProcessInfo& process, const GenerateOptions& asked) {
  const auto watchdog = watch_inference(world, process, asked.model);
  const Console console{world.rank() == 0};
  Inference inference = open_for_inference(world, process, asked.model, console);
  OpenModel& model = *inference.model;
  std::vector<InputLine> lines;
  KvCache cache;
  std::unique_ptr<OutputLines> output;
  GenerationConfig generation;
  run_together(world, [&] {
    generation =
        asked.generation.ignore_generation_config ? GenerationConfig{} : read_generation_config(asked.model.model, model.spec);
    lines = asked.input.empty() ? std::vector<InputLine>{prompt_line(*asked.prompt, asked.chat, model)}
                                : read_input_lines(asked.input, {{"prompt", "text"}, true, true, asked.chat}, model);
    const std::int64_t longest = longest_of(lines).tokens() + inference.adapter.layout.virtual_tokens.count;
    if (longest > model.spec.max_positions) {
      throw Error(ExitCode::data, fmt::format("{}: the prompt has {} tokens, the model only {} positions; shorten it",
                                              location_of(longest_of(lines), asked.input), longest, model.spec.max_positions));
    }
    const std::int64_t positions = std::min<std::int64_t>(model.spec.max_positions, longest + asked.generation.max_new_tokens);
    const bool runs_again =
        rope_table_rows(model.spec.rope, positions) > positions;  // the whole text, when it outgrows its rotation
    make_inference_workspace(inference, runs_again ? positions : longest, positions);
    cache = make_kv_cache(model.spec, positions, model.arena, model.compute_dtype);
    if (!asked.output.empty() && world.rank() == 0) {
      output = std::make_unique<OutputLines>(asked.output, asked.input);
    }
  });
  const ForwardContext transformer = inference.transformer();
  for (const std::string& warning : generation.warnings) {
    console.warn(warning);
  }
  const std::vector<std::int64_t> stop = stop_ids_of(model, generation);
  const Generator generator{model,
                            transformer,
                            cache,
                            world,
                            sampling_options(asked.generation, generation, console),
                            stop,
                            chat_stop_ids(model, stop, lines)};
  if (asked.input.empty()) {
    stream_answer(generator, lines.front());
    return static_cast<int>(ExitCode::done);
  }
  for (const InputLine& prompt : lines) {
    const std::string answer = answer_line(generator, prompt).dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
    if (asked.output.empty() && console.speaks) {
      fmt::print("{}", answer);
      std::fflush(stdout);
    }
    run_together(world, [&] {
      if (output) {
        output->append(answer);
      }
    });
  }
  run_together(world, [&] {
    if (output) {
      output->finish();
    }
  });
  if (!asked.output.empty()) {
    console.line(fmt::format("answered {} prompts; written to {}", lines.size(), asked.output));
  }
  return static_cast<int>(ExitCode::done);
}

}  // namespace

CommandUse generate_command() { return make_use<GenerateOptions>(describe, check, run); }

}  // namespace lora_dist
