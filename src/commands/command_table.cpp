// The table of commands. A new command is a row here and a file with its name.
#include "src/commands/command.h"

namespace lora_dist {

// Each function is defined in the file with the command's name.
CommandUse train_command();
CommandUse compare_command();
CommandUse eval_command();
CommandUse score_command();
CommandUse generate_command();
CommandUse merge_command();
CommandUse export_command();
CommandUse inspect_command();
CommandUse data_command();
CommandUse plan_command();
CommandUse quantize_command();
CommandUse doctor_command();

const std::vector<Command>& commands() {
  static const std::vector<Command> all = {
      {"train", "fine-tune a model; continues from the newest checkpoint in output.dir",
       "  mpirun -np 8 lora_dist --cfg medical.toml\n"
       "  mpirun -np 8 lora_dist train --cfg my.toml --set train.epochs=1 --set adapter.r=8\n"
       "  lora_dist --cfg my.toml --print-config\n",
       train_command},
      {"compare", "train several adapter methods on the same data, and compare their size, speed and loss",
       "  mpirun -np 8 lora_dist compare --cfg medical.toml --methods lora,dora,ia3\n"
       "  lora_dist compare --cfg configs/demo.toml --methods lora,ia3 --learning-rate ia3=1e-2 --set train.max_steps=20\n",
       compare_command},
      {"eval", "score a model, with or without an adapter, on the validation data",
       "  mpirun -np 8 lora_dist eval --cfg medical.toml --adapter runs/medical/adapter\n"
       "  lora_dist eval --cfg medical.toml\n",
       eval_command},
      {"score", "log-probabilities of the tokens of given texts",
       "  lora_dist score --model models/Llama-2-7b-hf --input texts.jsonl --output scores.jsonl\n"
       "  lora_dist score --model models/Llama-2-7b-hf --adapter runs/medical/adapter --quantization nf4 --input texts.jsonl "
       "--output scores.jsonl\n",
       score_command},
      {"generate", "continue a prompt, or each line of a file",
       "  lora_dist generate --model models/Llama-2-7b-hf --adapter runs/medical/adapter --prompt \"What is anaemia?\"\n"
       "  lora_dist generate --model models/Llama-2-7b-hf --input prompts.jsonl --output answers.jsonl --temperature 0.7 --top-p "
       "0.9\n"
       "  lora_dist generate --model models/Qwen2-7B-Instruct --chat --prompt \"What is anaemia?\"\n",
       generate_command},
      {"merge", "fold adapters into a full model folder",
       "  lora_dist merge --model models/Llama-2-7b-hf --adapter runs/medical/adapter --output models/medical\n"
       "  lora_dist merge --model models/Llama-2-7b-hf --adapter a=0.7 --adapter b=0.3 --output models/both --text "
       "check.jsonl\n",
       merge_command},
      {"export", "an adapter for PEFT, vLLM or llama.cpp, or the merged model as a GGUF file",
       "  lora_dist export --for gguf --type q4_k_m --model models/Llama-2-7b-hf --adapter runs/medical/adapter --output "
       "medical.gguf\n"
       "  lora_dist export --for vllm --adapter runs/medical/adapter --output adapters/medical\n"
       "  lora_dist export --for llama.cpp --model models/Llama-2-7b-hf --adapter runs/medical/adapter --output "
       "medical-lora.gguf\n"
       "  lora_dist export --check --adapter runs/medical/adapter\n",
       export_command},
      {"inspect", "what a checkpoint, adapter or model folder holds",
       "  lora_dist inspect runs/medical/checkpoints/step_00000100 --verify\n"
       "  lora_dist inspect runs/medical/adapter --tensors\n",
       inspect_command},
      {"data", "what a configuration makes of its datasets, with samples token by token; nothing is trained",
       "  lora_dist data --cfg my.toml\n"
       "  lora_dist data --cfg my.toml --set data.template=tokenizer --samples 10\n",
       data_command},
      {"plan", "memory, traffic and time of a configuration before it is run; needs config.json alone",
       "  lora_dist plan --cfg medical.toml --memory 80GB --ranks 8\n"
       "  lora_dist plan --cfg llama2_70b.toml --device a100 --ranks 64 --samples 150000 --tokens-per-sample 512\n"
       "  lora_dist plan --cfg my.toml --ranks 512 --gpus-per-node 4 --link-inter 100Gbit/s --json\n",
       plan_command},
      {"quantize", "write the quantized base once, so that ranks read only their part",
       "  lora_dist quantize --model models/Llama-2-7b-hf --output models/Llama-2-7b-nf4\n"
       "  lora_dist quantize --cfg medical.toml --output models/medical-nf4\n",
       quantize_command},
      {"doctor", "check this machine and this job: MPI, GPUs, NCCL, HDF5, files, limits, SLURM; says what to fix",
       "  lora_dist doctor\n"
       "  mpirun -np 8 lora_dist doctor --cfg medical.toml\n"
       "  srun --mpi=pmix lora_dist doctor --cfg medical.toml --json\n",
       doctor_command},
  };
  return all;
}

}  // namespace lora_dist
