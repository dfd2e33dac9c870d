"""BibTeX of everything that a result rests on."""

from __future__ import annotations

from ddcore.errors import UnknownNameError
from ddcore.summary import DataSummary

ENTRIES: dict[str, str] = {
    "survey": """@article{sachdeva2023data,
  title={Data Distillation: A Survey}, author={Sachdeva, Noveen and McAuley, Julian},
  journal={Transactions on Machine Learning Research}, year={2023}
}""",
    "dm": """@inproceedings{zhao2023dm,
  title={Dataset Condensation with Distribution Matching}, author={Zhao, Bo and Bilen, Hakan},
  booktitle={Winter Conference on Applications of Computer Vision}, year={2023}
}""",
    "sre2l": """@inproceedings{yin2023sre2l,
  title={Squeeze, Recover and Relabel: Dataset Condensation at {ImageNet} Scale From A New Perspective},
  author={Yin, Zeyuan and Xing, Eric and Shen, Zhiqiang},
  booktitle={Advances in Neural Information Processing Systems}, year={2023}
}""",
    "cda": """@article{yin2024cda,
  title={Dataset Distillation via Curriculum Data Synthesis in Large Data Era}, author={Yin, Zeyuan and Shen, Zhiqiang},
  journal={Transactions on Machine Learning Research}, year={2024}
}""",
    "g_vbsm": """@inproceedings{shao2024gvbsm,
  title={Generalized Large-Scale Data Condensation via Various Backbone and Statistical Matching},
  author={Shao, Shitong and Yin, Zeyuan and Zhou, Muxin and Zhang, Xindong and Shen, Zhiqiang},
  booktitle={Conference on Computer Vision and Pattern Recognition}, year={2024}
}""",
    "rded": """@inproceedings{sun2024rded,
  title={On the Diversity and Realism of Distilled Dataset: An Efficient Dataset Distillation Paradigm},
  author={Sun, Peng and Shi, Bei and Yu, Daiwei and Lin, Tao},
  booktitle={Conference on Computer Vision and Pattern Recognition}, year={2024}
}""",
    "ncfm": """@inproceedings{wang2025ncfm,
  title={Dataset Distillation with Neural Characteristic Function: A Minmax Perspective},
  author={Wang, Shaobo and Yang, Yicun and Liu, Zhiyuan and Sun, Chenghao and Hu, Xuming and He, Conghui and Zhang, Linfeng},
  booktitle={Conference on Computer Vision and Pattern Recognition}, year={2025}
}""",
    "linear_gradient_matching": """@inproceedings{cazenavette2025lgm,
  title={Dataset Distillation for Pre-Trained Self-Supervised Vision Models},
  author={Cazenavette, George and Torralba, Antonio and Sitzmann, Vincent},
  booktitle={Advances in Neural Information Processing Systems}, year={2025}
}""",
    "dc": """@inproceedings{zhao2021dc,
  title={Dataset Condensation with Gradient Matching}, author={Zhao, Bo and Mopuri, Konda Reddy and Bilen, Hakan},
  booktitle={International Conference on Learning Representations}, year={2021}
}""",
    "sfgc": """@inproceedings{zheng2023sfgc,
  title={Structure-free Graph Condensation: From Large-scale Graphs to Condensed Graph-free Data},
  author={Zheng, Xin and Zhang, Miao and Chen, Chunyang and Nguyen, Quoc Viet Hung and Zhu, Xingquan and Pan, Shirui},
  booktitle={Advances in Neural Information Processing Systems}, year={2023}
}""",
    "gcond": """@inproceedings{jin2022gcond,
  title={Graph Condensation for Graph Neural Networks},
  author={Jin, Wei and Zhao, Lingxiao and Zhang, Shichang and Liu, Yozen and Tang, Jiliang and Shah, Neil},
  booktitle={International Conference on Learning Representations}, year={2022}
}""",
    "doscond": """@inproceedings{jin2022doscond,
  title={Condensing Graphs via One-Step Gradient Matching},
  author={Jin, Wei and Tang, Xianfeng and Jiang, Haoming and Li, Zheng and Zhang, Danqing and Tang, Jiliang and Yin, Bing},
  booktitle={Knowledge Discovery and Data Mining}, year={2022}
}""",
    "gcdm": """@article{liu2022gcdm,
  title={Graph Condensation via Receptive Field Distribution Matching},
  author={Liu, Mengyang and Li, Shanchuan and Chen, Xinshi and Song, Le},
  journal={arXiv preprint arXiv:2206.13697}, year={2022}
}""",
    "goetz_tewari": """@article{goetz2020federated,
  title={Federated Learning via Synthetic Data}, author={Goetz, Jack and Tewari, Ambuj},
  journal={arXiv preprint arXiv:2008.04489}, year={2020}
}""",
    "dosfl": """@article{zhou2020dosfl,
  title={Distilled One-Shot Federated Learning}, author={Zhou, Yanlin and Pu, George and Ma, Xiyao and Li, Xiaolin and Wu, Dapeng},
  journal={arXiv preprint arXiv:2009.07999}, year={2020}
}""",
    "feddm": """@inproceedings{xiong2023feddm,
  title={{FedDM}: Iterative Distribution Matching for Communication-Efficient Federated Learning},
  author={Xiong, Yuanhao and Wang, Ruochen and others},
  booktitle={Conference on Computer Vision and Pattern Recognition}, year={2023}
}""",
    "fedsynth": """@article{hu2022fedsynth,
  title={{FedSynth}: Gradient Compression via Synthetic Data in Federated Learning},
  author={Hu, Shengyuan and Goetz, Jack and Malik, Kshitiz and Zhan, Hongyuan and Liu, Zhe and Liu, Yue},
  journal={arXiv preprint arXiv:2204.01273}, year={2022}
}""",
    "fedd3": """@article{song2022fedd3,
  title={Federated Learning via Decentralized Dataset Distillation in Resource-Constrained Edge Environments},
  author={Song, Rui and others},
  journal={arXiv preprint arXiv:2208.11311}, year={2022}
}""",
    "fedmk": """@article{liu2022fedmk,
  title={Meta Knowledge Condensation for Federated Learning}, author={Liu, Ping and Yu, Xin and Zhou, Joey Tianyi},
  journal={arXiv preprint arXiv:2209.14851}, year={2022}
}""",
    "dcc": """@inproceedings{lee2022dcc,
  title={Dataset Condensation with Contrastive Signals},
  author={Lee, Saehyung and Chun, Sanghyuk and Jung, Sangwon and Yun, Sangdoo and Yoon, Sungroh},
  booktitle={International Conference on Machine Learning}, year={2022}
}""",
    "idc": """@inproceedings{kim2022idc,
  title={Dataset Condensation via Efficient Synthetic-Data Parameterization},
  author={Kim, Jang-Hyun and Kim, Jinuk and Oh, Seong Joon and Yun, Sangdoo and Song, Hwanjun and Jeong, Joonhyun and Ha, Jung-Woo and Song, Hyun Oh},
  booktitle={International Conference on Machine Learning}, year={2022}
}""",
    "cutmix": """@inproceedings{yun2019cutmix,
  title={{CutMix}: Regularization Strategy to Train Strong Classifiers with Localizable Features},
  author={Yun, Sangdoo and Han, Dongyoon and Oh, Seong Joon and Chun, Sanghyuk and Choe, Junsuk and Yoo, Youngjoon},
  booktitle={International Conference on Computer Vision}, year={2019}
}""",
    "cafe": """@inproceedings{wang2022cafe,
  title={{CAFE}: Learning to Condense Dataset by Aligning Features},
  author={Wang, Kai and Zhao, Bo and Peng, Xiangyu and Zhu, Zheng and Yang, Shuo and Wang, Shuo and Huang, Guan and Bilen, Hakan and Wang, Xinchao and You, Yang},
  booktitle={Conference on Computer Vision and Pattern Recognition}, year={2022}
}""",
    "it_gan": """@article{zhao2022itgan,
  title={Synthesizing Informative Training Samples with {GAN}}, author={Zhao, Bo and Bilen, Hakan},
  journal={arXiv:2204.07513}, year={2022}
}""",
    "dsa": """@inproceedings{zhao2021dsa,
  title={Dataset Condensation with Differentiable Siamese Augmentation}, author={Zhao, Bo and Bilen, Hakan},
  booktitle={International Conference on Machine Learning}, year={2021}
}""",
    "dd": """@article{wang2018dd,
  title={Dataset Distillation}, author={Wang, Tongzhou and Zhu, Jun-Yan and Torralba, Antonio and Efros, Alexei A.},
  journal={arXiv:1811.10959}, year={2018}
}""",
    "linba": """@inproceedings{deng2022linba,
  title={Remember the Past: Distilling Datasets into Addressable Memories for Neural Networks},
  author={Deng, Zhiwei and Russakovsky, Olga},
  booktitle={Advances in Neural Information Processing Systems}, year={2022}
}""",
    "kip": """@inproceedings{nguyen2021kip,
  title={Dataset Meta-Learning from Kernel Ridge-Regression}, author={Nguyen, Timothy and Chen, Zhourong and Lee, Jaehoon},
  booktitle={International Conference on Learning Representations}, year={2021}
}""",
    "distill_cf": """@inproceedings{sachdeva2022infinite,
  title={Infinite Recommendation Networks: A Data-Centric Approach},
  author={Sachdeva, Noveen and Dhaliwal, Mehak Preet and Wu, Carole-Jean and McAuley, Julian},
  booktitle={Advances in Neural Information Processing Systems}, year={2022}
}""",
    "svp_cf": """@inproceedings{sachdeva2022sampling,
  title={On Sampling Collaborative Filtering Datasets}, author={Sachdeva, Noveen and Wu, Carole-Jean and McAuley, Julian},
  booktitle={International Conference on Web Search and Data Mining}, year={2022}
}""",
    "sucholutsky": """@inproceedings{sucholutsky2021soft,
  title={Soft-Label Dataset Distillation and Text Dataset Distillation}, author={Sucholutsky, Ilia and Schonlau, Matthias},
  booktitle={International Joint Conference on Neural Networks}, year={2021}
}""",
    "rfad": """@inproceedings{loo2022rfad,
  title={Efficient Dataset Distillation using Random Feature Approximation},
  author={Loo, Noel and Hasani, Ramin and Amini, Alexander and Rus, Daniela},
  booktitle={Advances in Neural Information Processing Systems}, year={2022}
}""",
    "rcig": """@inproceedings{loo2023rcig,
  title={Dataset Distillation with Convexified Implicit Gradients},
  author={Loo, Noel and Hasani, Ramin and Lechner, Mathias and Rus, Daniela},
  booktitle={International Conference on Machine Learning}, year={2023}
}""",
    "frepo": """@inproceedings{zhou2022frepo,
  title={Dataset Distillation using Neural Feature Regression}, author={Zhou, Yongchao and Nezhadarya, Ehsan and Ba, Jimmy},
  booktitle={Advances in Neural Information Processing Systems}, year={2022}
}""",
    "mtt": """@inproceedings{cazenavette2022mtt,
  title={Dataset Distillation by Matching Training Trajectories},
  author={Cazenavette, George and Wang, Tongzhou and Torralba, Antonio and Efros, Alexei A. and Zhu, Jun-Yan},
  booktitle={Conference on Computer Vision and Pattern Recognition}, year={2022}
}""",
    "tesla": """@inproceedings{cui2023tesla,
  title={Scaling Up Dataset Distillation to {ImageNet-1K} with Constant Memory},
  author={Cui, Justin and Wang, Ruochen and Si, Si and Hsieh, Cho-Jui},
  booktitle={International Conference on Machine Learning}, year={2023}
}""",
    "ftd": """@inproceedings{du2023ftd,
  title={Minimizing the Accumulated Trajectory Error to Improve Dataset Distillation},
  author={Du, Jiawei and Jiang, Yidi and Tan, Vincent Y. F. and Zhou, Joey Tianyi and Li, Haizhou},
  booktitle={Conference on Computer Vision and Pattern Recognition}, year={2023}
}""",
    "datm": """@inproceedings{guo2024datm,
  title={Towards Lossless Dataset Distillation via Difficulty-Aligned Trajectory Matching},
  author={Guo, Ziyao and Wang, Kai and Cazenavette, George and Li, Hui and Zhang, Kaipeng and You, Yang},
  booktitle={International Conference on Learning Representations}, year={2024}
}""",
    "haba": """@inproceedings{liu2022haba,
  title={Dataset Distillation via Factorization}, author={Liu, Songhua and Wang, Kai and Yang, Xingyi and Ye, Jingwen and Wang, Xinchao},
  booktitle={Advances in Neural Information Processing Systems}, year={2022}
}""",
    "kfs": """@article{lee2022kfs,
  title={Dataset Condensation with Latent Space Knowledge Factorization and Sharing},
  author={Lee, Hae Beom and Lee, Dong Bok and Hwang, Sung Ju}, journal={arXiv preprint arXiv:2208.10494}, year={2022}
}""",
    "fred": """@inproceedings{shin2023fred,
  title={Frequency Domain-based Dataset Distillation}, author={Shin, Donghyeok and Shin, Seungjae and Moon, Il-Chul},
  booktitle={Advances in Neural Information Processing Systems}, year={2023}
}""",
    "gtn": """@inproceedings{such2020gtn,
  title={Generative Teaching Networks: Accelerating Neural Architecture Search by Learning to Generate Synthetic Training Data},
  author={Such, Felipe Petroski and Rawal, Aditya and Lehman, Joel and Stanley, Kenneth and Clune, Jeffrey},
  booktitle={International Conference on Machine Learning}, year={2020}
}""",
    "herding": """@inproceedings{welling2009herding,
  title={Herding Dynamical Weights to Learn}, author={Welling, Max},
  booktitle={International Conference on Machine Learning}, year={2009}
}""",
    "k_means": """@article{lloyd1982least,
  title={Least Squares Quantization in {PCM}}, author={Lloyd, Stuart P.},
  journal={IEEE Transactions on Information Theory}, volume={28}, number={2}, pages={129--137}, year={1982}
}""",
    "k_center": """@inproceedings{sener2018coreset,
  title={Active Learning for Convolutional Neural Networks: A Core-Set Approach}, author={Sener, Ozan and Savarese, Silvio},
  booktitle={International Conference on Learning Representations}, year={2018}
}""",
    "forgetting": """@inproceedings{toneva2019forgetting,
  title={An Empirical Study of Example Forgetting during Deep Neural Network Learning},
  author={Toneva, Mariya and Sordoni, Alessandro and Combes, Remi Tachet des and Trischler, Adam and Bengio, Yoshua and Gordon, Geoffrey J.},
  booktitle={International Conference on Learning Representations}, year={2019}
}""",
    "psg": """@inproceedings{chen2022psg,
  title={Private Set Generation with Discriminative Information}, author={Chen, Dingfan and Kerkouche, Raouf and Fritz, Mario},
  booktitle={Advances in Neural Information Processing Systems}, year={2022}
}""",
    "dp_merf": """@inproceedings{harder2021dpmerf,
  title={{DP-MERF}: Differentially Private Mean Embeddings with Random Features for Practical Privacy-Preserving Data Generation},
  author={Harder, Frederik and Adamczewski, Kamil and Park, Mijung},
  booktitle={International Conference on Artificial Intelligence and Statistics}, year={2021}
}""",
    "gdumb": """@inproceedings{prabhu2020gdumb,
  title = {{GD}umb: A Simple Approach that Questions Our Progress in Continual Learning},
  author = {Prabhu, Ameya and Torr, Philip H. S. and Dokania, Puneet K.},
  booktitle = {European Conference on Computer Vision},
  year = {2020}
}""",
    "sample_condensation": """@inproceedings{sangermano2022sample,
  title={Sample Condensation in Online Continual Learning},
  author={Sangermano, Mattia and Carta, Antonio and Cossu, Andrea and Bacciu, Davide},
  booktitle={International Joint Conference on Neural Networks}, year={2022}
}""",
    "composite_memory": """@inproceedings{wiewel2021condensed,
  title={Condensed Composite Memory Continual Learning},
  author={Wiewel, Felix and Yang, Bin},
  booktitle={International Joint Conference on Neural Networks}, year={2021}
}""",
    "digits": """@misc{alpaydin1998digits,
  title={Optical Recognition of Handwritten Digits}, author={Alpaydin, E. and Kaynak, C.},
  howpublished={UCI Machine Learning Repository}, year={1998}
}""",
    "mnist": """@article{lecun1998gradient,
  title={Gradient-Based Learning Applied to Document Recognition},
  author={LeCun, Yann and Bottou, L{\\'e}on and Bengio, Yoshua and Haffner, Patrick},
  journal={Proceedings of the IEEE}, volume={86}, number={11}, pages={2278--2324}, year={1998}
}""",
    "fashion-mnist": """@article{xiao2017fashion,
  title={Fashion-{MNIST}: a Novel Image Dataset for Benchmarking Machine Learning Algorithms},
  author={Xiao, Han and Rasul, Kashif and Vollgraf, Roland}, journal={arXiv:1708.07747}, year={2017}
}""",
    "cifar10": """@techreport{krizhevsky2009cifar,
  title={Learning Multiple Layers of Features from Tiny Images}, author={Krizhevsky, Alex},
  institution={University of Toronto}, year={2009}
}""",
    "svhn": """@inproceedings{netzer2011svhn,
  title={Reading Digits in Natural Images with Unsupervised Feature Learning},
  author={Netzer, Yuval and Wang, Tao and Coates, Adam and Bissacco, Alessandro and Wu, Bo and Ng, Andrew Y.},
  booktitle={NIPS Workshop on Deep Learning and Unsupervised Feature Learning}, year={2011}
}""",
}
ENTRIES["cifar100"] = ENTRIES["cifar10"]


def cite(summary: DataSummary) -> str:
    """Return BibTeX for the survey, the method, its parts, and the data where it is known."""
    keys = ["survey", *summary.record.get("cites", [])]
    if summary.record.get("data") in ENTRIES:
        keys.append(summary.record["data"])
    unknown = [k for k in keys if k not in ENTRIES]
    if unknown:
        raise UnknownNameError("citation", unknown[0], ENTRIES)
    return "\n\n".join(dict.fromkeys(ENTRIES[k] for k in keys))
