"""Configs of transformers' networks that are small enough for tests."""

SWIN = dict(model_type='swin', embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1], window_size=2, image_size=64,
            out_features=['stage1', 'stage2', 'stage3', 'stage4'])
CONVNEXT = dict(model_type='convnext', depths=[1, 1, 1, 1], hidden_sizes=[8, 8, 16, 16],
                out_features=['stage1', 'stage2', 'stage3', 'stage4'])
RESNET = dict(embedding_size=8, hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], layer_type='basic')
SEGMENTERS = {
    'segformer': dict(depths=(1, 1, 1, 1), hidden_sizes=(8, 16, 16, 16), decoder_hidden_size=16,
                      num_attention_heads=(1, 2, 2, 2)),
    'upernet': dict(backbone_config=CONVNEXT, hidden_size=16, auxiliary_in_channels=16, auxiliary_channels=8,
                    pool_scales=[1, 2]),
    'dpt': dict(hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=16, image_size=64,
                backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=16),
    'mask2former': dict(backbone_config=SWIN, feature_size=32, mask_feature_size=32, hidden_dim=32,
                        encoder_feedforward_dim=16, encoder_layers=1, decoder_layers=2, num_attention_heads=2,
                        dim_feedforward=16, num_queries=6, train_num_points=64),
    'maskformer': dict(backbone_config=SWIN, fpn_feature_size=32, mask_feature_size=32, decoder_config=dict(
        model_type='detr', d_model=16, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=16, decoder_ffn_dim=16,
        encoder_attention_heads=2, decoder_attention_heads=2, num_queries=6)),
}
DETECTORS = {
    'yolos': dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
                  image_size=[64, 64], num_detection_tokens=6, use_mid_position_embeddings=False),
    'detr': dict(use_timm_backbone=False, use_pretrained_backbone=False, backbone=None,
                 backbone_config=dict(RESNET, model_type='resnet', out_features=['stage4']), d_model=16,
                 encoder_layers=1, decoder_layers=1, encoder_ffn_dim=16, decoder_ffn_dim=16, encoder_attention_heads=2,
                 decoder_attention_heads=2, num_queries=6),
    'rt_detr': dict(backbone_config=dict(RESNET, model_type='rt_detr_resnet',
                                         out_features=['stage2', 'stage3', 'stage4']),
                    encoder_hidden_dim=16, encoder_in_channels=[8, 8, 8], encoder_ffn_dim=16,
                    encoder_attention_heads=2, d_model=16, decoder_in_channels=[16, 16, 16], decoder_ffn_dim=16,
                    decoder_layers=1, decoder_attention_heads=2, num_queries=10, num_denoising=4, decoder_n_points=2),
}


def config(table: dict, name: str) -> dict:
    """Return a config of transformers, with its model_type."""
    return dict(model_type=name, **table[name])
