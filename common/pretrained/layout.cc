#include "common/pretrained/layout.h"

#include <algorithm>
#include <initializer_list>

#include "common/base/glob.h"

namespace lockstep {
namespace {

bool MatchesOne(std::initializer_list<const char*> patterns, const std::string& name) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const char* pattern) { return MatchesGlob(pattern, name); });
}

}  // namespace

bool IsConv1d(const std::string& name) {
  return MatchesOne({"*attn.c_attn.weight", "*attn.c_proj.weight", "*mlp.c_fc.weight", "*mlp.c_proj.weight"},
                    name);
}

bool IsKnownBuffer(const std::string& name) {
  return IsOutputLayer(name) ||
         MatchesOne({"*.attn.bias", "*.attn.masked_bias", "*rotary_emb.inv_freq", "*num_batches_tracked"},
                    name);
}

bool IsTokenTable(const std::string& name) {
  return MatchesOne({"wte.weight", "*.wte.weight", "*embed_tokens.weight", "lm_head.weight"}, name);
}

bool IsOutputLayer(const std::string& name) { return name == "lm_head.weight"; }

}  // namespace lockstep
