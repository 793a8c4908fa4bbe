// A file that has every name, of the version before the oldest that is taken.
#include <cstddef>

#define OLD_LT_CALL(name) \
  int cublasLt##name() { return 1; }

extern "C" {
size_t cublasLtGetVersion() { return 111103; }
OLD_LT_CALL(Create)
OLD_LT_CALL(Destroy)
OLD_LT_CALL(GetStatusName)
OLD_LT_CALL(GetStatusString)
OLD_LT_CALL(MatmulDescCreate)
OLD_LT_CALL(MatmulDescDestroy)
OLD_LT_CALL(MatmulDescSetAttribute)
OLD_LT_CALL(MatrixLayoutCreate)
OLD_LT_CALL(MatrixLayoutDestroy)
OLD_LT_CALL(MatrixLayoutSetAttribute)
OLD_LT_CALL(MatmulPreferenceCreate)
OLD_LT_CALL(MatmulPreferenceDestroy)
OLD_LT_CALL(MatmulPreferenceSetAttribute)
OLD_LT_CALL(MatmulAlgoGetHeuristic)
OLD_LT_CALL(MatmulAlgoCheck)
OLD_LT_CALL(MatmulAlgoConfigGetAttribute)
OLD_LT_CALL(MatmulAlgoCapGetAttribute)
OLD_LT_CALL(Matmul)
}
