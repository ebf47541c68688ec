"""AutoFuse's network on the simulated infrared-visible sample, for trying things out without CLIP and VGG-19.

Two terms on pixels replace the released losses, whose networks are large downloads, so words have no part in it.

Commands:   vlfusion prepare-data sample
            vlfusion train ldfusion/autofuse_ivf_sample
Expected:   pictures and numbers in minutes on two CPU cores. The pairs are simulated, so the numbers mean nothing.
"""

_base_ = ['ldfusion_ivf_sample.py']

model = dict(backbone=dict(type='vlfusion_ldfusion.AutoFuse'))
