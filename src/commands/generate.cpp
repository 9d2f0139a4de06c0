// lora_dist generate: continues a prompt on the screen, or prompts of a JSONL file.
#include "src/inference/generate.h"

#include <algorithm>

#include "src/comm/agree.h"
#include "src/commands/commands.h"
#include "src/commands/inference.h"
#include "src/commands/input_lines.h"
#include "src/core/error.h"
#include "src/data/chat_sample.h"
#include "src/data/tokenize.h"
#include "src/inference/output_lines.h"
#include "src/inference/sampling_config.h"
#include "src/job/open_model.h"

namespace lora_dist {

namespace {

using nlohmann::json;

SamplingOptions sampling_options(const CommandLine& line, const GenerationConfig& generation, const Console& console) {
  const auto written = [&](const char* option, auto value) {
    return line.given.contains(option) ? std::optional(value) : std::nullopt;
  };
  SamplingOptions options;
  options.max_new_tokens = line.max_new_tokens;
  options.seed = static_cast<std::uint64_t>(line.seed);
  const WrittenSampling sampling{written("temperature", line.temperature), written("top-p", line.top_p),
                                 written("repetition-penalty", line.repetition_penalty), written("top-k", line.top_k)};
  apply_generation_config(generation, sampling, options);
  SamplingOptions alone;
  apply_generation_config({}, sampling, alone);
  if (const std::string how = describe_sampling(options); how != describe_sampling(alone)) {
    console.note(fmt::format("text is generated as {} says: {} (--ignore-generation-config: {})", generation.file, how,
                             describe_sampling(alone).empty() ? "the most probable token" : describe_sampling(alone)));
  }
  return options;
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

/// The ids that end an answer in a conversation: `ids`, and the turn's end.
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

/// Text as it comes.
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

/// The text of ids as it goes on from the token before them: a text of its own would begin without its space.
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

}  // namespace

int run_generate(Communicator& world, const ProcessPlace& place, const CommandLine& line) {
  const Console console{world.rank() == 0};
  Inference inference = open_for_inference(world, place, line, console);
  OpenModel& model = *inference.model;
  std::vector<InputLine> lines;
  KvCache cache;
  std::unique_ptr<OutputLines> output;
  GenerationConfig generation;
  run_together(world, [&] {
    generation = line.ignore_generation_config ? GenerationConfig{} : read_generation_config(line.model, model.spec);
    lines = line.input.empty() ? std::vector<InputLine>{prompt_line(line.prompt, line.chat, model)}
                               : read_input_lines(line.input, {{"prompt", "text"}, true, true, line.chat}, model);
    const std::int64_t longest = longest_of(lines).tokens();
    if (longest > model.spec.max_positions) {
      throw Error(ExitCode::data, fmt::format("{}: the prompt has {} tokens, the model only {} positions; shorten it",
                                              place_of(longest_of(lines), line.input), longest, model.spec.max_positions));
    }
    const std::int64_t positions = std::min<std::int64_t>(model.spec.max_positions, longest + line.max_new_tokens);
    make_inference_workspace(inference, longest, positions);
    cache = make_kv_cache(model.spec, positions, model.arena, model.compute_dtype);
    if (!line.output.empty() && world.rank() == 0) {
      output = std::make_unique<OutputLines>(line.output, line.input);
    }
  });
  const ForwardContext transformer = inference.transformer();
  for (const std::string& warning : generation.warnings) {
    console.warn(warning);
  }
  const std::vector<std::int64_t> stop = stop_ids_of(model, generation);
  const Generator generator{
      model, transformer, cache, world, sampling_options(line, generation, console), stop, chat_stop_ids(model, stop, lines)};
  if (line.input.empty()) {
    stream_answer(generator, lines.front());
    return static_cast<int>(ExitCode::done);
  }
  for (const InputLine& prompt : lines) {
    const std::string answer = answer_line(generator, prompt).dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
    if (line.output.empty() && console.speaks) {
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
  if (!line.output.empty()) {
    console.line(fmt::format("answered {} prompts; written to {}", lines.size(), line.output));
  }
  return static_cast<int>(ExitCode::done);
}

}  // namespace lora_dist
