#include "common/pretrained/layout.h"

#include "common/base/glob.h"

namespace lockstep {

bool IsConv1d(const std::string& name) {
  for (const char* pattern :
       {"*attn.c_attn.weight", "*attn.c_proj.weight", "*mlp.c_fc.weight", "*mlp.c_proj.weight"}) {
    if (MatchesGlob(pattern, name)) return true;
  }
  return false;
}

bool IsKnownBuffer(const std::string& name) {
  for (const char* pattern : {"*attn.bias", "*attn.masked_bias", "lm_head.weight", "*rotary_emb.inv_freq",
                              "*num_batches_tracked"}) {
    if (MatchesGlob(pattern, name)) return true;
  }
  return false;
}

}  // namespace lockstep
