// The options of each command.
#include "src/commands/command_options.h"

#include <boost/program_options/value_semantic.hpp>

namespace lora_dist {
namespace {

namespace po = boost::program_options;

auto text(std::string& member, const char* name) { return po::value(&member)->value_name(name); }

void add_config_options(po::options_description& options, CommandLine& line) {
  options.add_options()                                                                                                  //
      ("cfg", text(line.cfg, "FILE"), "configuration (TOML); looked up as given, then in the installed configs folder")  //
      ("set", po::value(&line.sets)->value_name("section.key=value"), "overrides the file; may be repeated")             //
      ("print-config", po::bool_switch(&line.print_config), "print the resolved configuration and where each value comes from");
}

void add_model_options(po::options_description& options, CommandLine& line) {
  options.add_options()                                                                    //
      ("model", text(line.model, "DIR"), "Hugging Face model folder")                      //
      ("adapter", text(line.adapter, "DIR"), "PEFT adapter folder; none: the base alone")  //
      ("quantization", text(line.quantization, "none|nf4|fp4|int8"),
       "how the base is kept in memory (default: as the adapter was trained by its record, else none; a folder that is quantized "
       "already stays so)")  //
      ("block-size", po::value(&line.block_size)->value_name("N"),
       "with nf4 and fp4: weights per scale (default: by the adapter's record, else 64)")  //
      ("double-quant", po::value(&line.double_quant)->value_name("true|false"),
       "with nf4 and fp4: quantize the block scales as well (default: by the adapter's record, else true)")               //
      ("backend", text(line.backend, "auto|cpu|cuda"), "where to compute (default auto: on the GPU where there is one)")  //
      ("compute-dtype", text(line.compute_dtype, "auto|fp32|bf16|fp16"),
       "type of products (default auto: fp32 on the CPU, bf16 on a GPU)");
}

void add_merge_options(po::options_description& options, CommandLine& line) {
  line.quantization = "nf4";
  options.add_options()                                                //
      ("model", text(line.model, "DIR"), "Hugging Face model folder")  //
      ("adapter", po::value(&line.adapters)->value_name("DIR[=WEIGHT]"),
       "PEFT adapter folder; may be repeated, each added with its weight (default 1)")  //
      ("output", text(line.output, "DIR"), "new folder for the merged model")           //
      ("onto", text(line.onto, "dequantized|full"),
       "add to the weights as the quantized base held them, or to those of the files (default: what the adapter was trained on, "
       "by "
       "its record)")  //
      ("quantization", text(line.quantization, "none|nf4|fp4|int8"),
       "how the base was held in training (default: by the adapter's record, else nf4)")  //
      ("block-size", po::value(&line.block_size)->value_name("N"),
       "with nf4 and fp4: weights per scale (default: by the adapter's record, else 64)")  //
      ("double-quant", po::value(&line.double_quant)->value_name("true|false"),
       "with nf4 and fp4: whether the block scales were quantized as well (default: by the adapter's record, else true)")  //
      ("text", text(line.text, "F.jsonl"),
       "{\"text\"} or {\"input_ids\"} lines: compare perplexity and log-probabilities of both ways on them");
}

void add_generate_options(po::options_description& options, CommandLine& line) {
  options.add_options()                                          //
      ("prompt", text(line.prompt, "TEXT"), "text to continue")  //
      ("chat", po::bool_switch(&line.chat),
       "a prompt is a user's message: put it into the model's own chat template and answer it")                     //
      ("input", text(line.input, "F.jsonl"), "a {\"prompt\": ...} or {\"messages\": [...]} per line instead")       //
      ("output", text(line.output, "F.jsonl"), "where answers to --input are written; standard output by default")  //
      ("max-new-tokens", po::value(&line.max_new_tokens)->value_name("N"), "tokens to add at most (default 128)")   //
      ("temperature", po::value(&line.temperature)->value_name("X"),
       "0: the most probable token; 1: as the model says (default: as generation_config.json says, else 0)")  //
      ("top-p", po::value(&line.top_p)->value_name("X"),
       "sample among the most probable tokens that together reach probability X (default: generation_config.json, else 1: "
       "all)")  //
      ("top-k", po::value(&line.top_k)->value_name("N"),
       "sample among the N most probable tokens (default: generation_config.json, 50 where it samples, else 0: all)")  //
      ("repetition-penalty", po::value(&line.repetition_penalty)->value_name("X"),
       "above 1: tokens that were there already become less probable (default: as generation_config.json says, else 1)")  //
      ("ignore-generation-config", po::bool_switch(&line.ignore_generation_config),
       "neither stop at the tokens of the folder's generation_config.json nor sample as it says")  //
      ("seed", po::value(&line.seed)->value_name("N"), "of sampling (default 42)");
}

void add_plan_options(po::options_description& options, CommandLine& line) {
  PlanOptions& plan = line.plan;
  options.add_options()                                                                                                        //
      ("memory", text(plan.memory, "80GB"), "of one GPU (or of one rank on CPUs): does it fit? (default: the device's)")       //
      ("ranks", po::value(&plan.ranks)->value_name("N"), "GPUs, or ranks on CPUs (default 1, or those of mpirun)")             //
      ("target", text(plan.target, "cpu|cuda"), "(default cuda where --memory, --device or the configuration ask for a GPU)")  //
      ("device", text(plan.device, "NAME"), "GPU: v100, a100, h100, h200, rtx3090, rtx4090, l40s ... (default h100)")          //
      ("efficiency", po::value(&plan.efficiency)->value_name("X"),
       "share of the device's peak that is reached; an assumption (default 0.45)")  //
      ("cpu-gflops", po::value(&plan.cpu_gflops)->value_name("X"),
       "10^9 floating point operations a second that a rank on CPUs reaches: predicts times for them too")           //
      ("gpus-per-node", po::value(&plan.gpus_per_node)->value_name("N"), "(default 8)")                              //
      ("link-intra", text(plan.link_intra, "450GB/s"), "of a GPU within its node, one way (default: the device's)")  //
      ("link-inter", text(plan.link_inter, "25GB/s"), "of a GPU to other nodes, one way (default 25GB/s)")           //
      ("latency-intra", text(plan.latency_intra, "5us"), "(default 5us)")                                            //
      ("latency-inter", text(plan.latency_inter, "15us"), "(default 15us)")                                          //
      ("link", text(plan.link, "FILE"),
       "TOML with link_intra, link_inter, latency_intra, latency_inter, gpus_per_node; options overrule it")              //
      ("samples", po::value(&plan.samples)->value_name("N"), "of the training data: tells the hours of the whole run")    //
      ("tokens-per-sample", po::value(&plan.tokens_per_sample)->value_name("N"), "(default: a sample fills a sequence)")  //
      ("tokens-per-sequence", po::value(&plan.tokens_per_sequence)->value_name("N"),
       "(default: sequences are full, data.max_length)")  //
      ("json", po::bool_switch(&plan.json), "print JSON");
}

}  // namespace

po::options_description options_of(const std::string& command, CommandLine& line) {
  po::options_description options("Options", 110, 50);
  if (command == "train" || command == "eval" || command == "data" || command == "plan" || command == "doctor") {
    add_config_options(options, line);
  }
  if (command == "data") {
    options.add_options()                                                                                              //
        ("samples", po::value(&line.samples)->value_name("N"), "training samples to show token by token (default 3)")  //
        ("json", po::bool_switch(&line.json),
         "print the samples alone, a line {\"file\", \"row\", \"input_ids\", \"labels\"} each (labels as Hugging Face's)");
  }
  if (command == "doctor") {
    options.add_options()("json", po::bool_switch(&line.json), "print JSON");
  }
  if (command == "plan") {
    add_plan_options(options, line);
  }
  if (command == "eval") {
    options.add_options()("adapter", text(line.adapter, "DIR"),
                          "PEFT adapter folder to score (default: adapter.init_from; empty: the base alone)");
  }
  if (command == "score" || command == "generate") {
    add_model_options(options, line);
  }
  if (command == "score") {
    options.add_options()                                                                                 //
        ("input", text(line.input, "F.jsonl"), "{\"id\", \"text\"} or {\"id\", \"input_ids\"} per line")  //
        ("output", text(line.output, "F.jsonl"),
         "{\"id\", \"input_ids\", \"logprobs\", \"argmax\", \"loss\", \"target_tokens\"} per line");
  }
  if (command == "generate") {
    add_generate_options(options, line);
  }
  if (command == "merge") {
    add_merge_options(options, line);
  }
  if (command == "quantize") {
    add_config_options(options, line);
    line.quantization = "nf4";
    options.add_options()                                                                                               //
        ("model", text(line.model, "DIR"), "Hugging Face model folder (default: model.path of --cfg)")                  //
        ("output", text(line.output, "DIR"), "new folder, which then takes the model's place in model.path")            //
        ("quantization", text(line.quantization, "nf4|fp4"), "(default: of --cfg, else nf4)")                           //
        ("block-size", po::value(&line.block_size)->value_name("N"), "weights per scale (default: of --cfg, else 64)")  //
        ("double-quant", po::value(&line.double_quant)->value_name("true|false"),
         "quantize the block scales as well (default: of --cfg, else true)");
  }
  if (command == "inspect") {
    options.add_options()("verify", po::bool_switch(&line.verify), "read everything and compare it with its digests");
  }
  options.add_options()                                      //
      ("help,h", po::bool_switch(&line.help), "print this")  //
      ("version", po::bool_switch(&line.version), "print the versions of the program and of what it is built on");
  return options;
}

}  // namespace lora_dist
