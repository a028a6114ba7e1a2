"""Chinese words whose reading no rule gives: neutral last syllables, 儿 as a syllable, words read otherwise.

Invariants: data only; simplified characters, with the commonest traditional ones.
"""

from __future__ import annotations

_NEUTRAL = """
朋友 东西 先生 学生 明白 漂亮 喜欢 知道 认识 事情 衣服 关系 消息 时候 地方 告诉 清楚 舒服
麻烦 暖和 便宜 客气 打听 商量 收拾 窗户 钥匙 耳朵 眼睛 鼻子 嘴巴 头发 脑袋 胳膊 肚子 指甲
姑娘 太太 丈夫 媳妇 大夫 护士 师傅 徒弟 老婆 老爷 亲戚 邻居 孩子 故事 意思 道理 力气 脾气
本事 主意 名字 笑话 厉害 利害 结实 干净 热闹 凉快 新鲜 快活 痛快 老实 聪明 糊涂 马虎 大方
豆腐 馒头 石头 木头 骨头 舌头 里头 外头 前头 后头 上头 念头 甜头 拳头 枕头 点心 萝卜 葡萄
蘑菇 芝麻 棉花 庄稼 粮食 月亮 云彩 早上 晚上 夜里 风筝 玻璃 扫帚 簸箕 灯笼 行李 抽屉 架势
算盘 招呼 应付 对付 吩咐 嘱咐 打扮 打量 咳嗽 哆嗦 琢磨 溜达 吆喝 折腾 耽误 埋怨 巴结 欺负
答应 佩服 学问 生意 买卖 部分 规矩 状元 将就 凑合 差事 张罗 功夫 工夫 苍蝇 蛤蟆 狐狸 骆驼
牲口 刺猬 机灵 伶俐 秀气 阔气 和气 晃荡 模糊 含糊 迷糊 啰嗦 疙瘩 福气 运气 什么 怎么 那么
这么 多么 谢谢 東西 學生 喜歡 認識 關係 時候 告訴 頭髮 聰明 麻煩 甚麼 什麼 怎麼 那麼 這麼
"""
#: Words whose last syllable has lost its tone in the standard language.
NEUTRAL_ENDING = frozenset(_NEUTRAL.split())

_FULL_ER = """
女儿 婴儿 幼儿 孤儿 胎儿 健儿 少儿 患儿 宠儿 男儿 混血儿 新生儿 弃儿 早产儿 产儿 生儿 育儿 侄儿 孙儿 托儿 妻儿
女兒 嬰兒 幼兒 孤兒 胎兒 健兒 男兒
"""
#: Words in which 儿 is a syllable of its own.
FULL_ER = frozenset(_FULL_ER.split())

#: After these 子 at a word's end keeps its tone: 电子, 女子, 分子, 孔子.
FULL_TZE_AFTER = frozenset("女男弟王太天公夫君孔孟老庄荀墨电原中质分量光因父母亲才学游離电電質")

#: Words, and characters standing alone, that the dictionary reads otherwise than people do; pinyin with tones.
READINGS: dict[str, tuple[str, ...]] = {
    "嗯": ("en5",),
    "哦": ("o4",),
    "噢": ("o1",),
    "谁": ("shei2",),
    "誰": ("shei2",),
    "地": ("di4",),
    "得": ("de5",),
    "着": ("zhe5",),
    "著": ("zhe5",),
    "还": ("hai2",),
    "還": ("hai2",),
    "都": ("dou1",),
    "长": ("chang2",),
    "行": ("xing2",),
    "为": ("wei4",),
    "只": ("zhi3",),
    "〇": ("ling2",),
    "子": ("zi3",),
    "看著": ("kan4", "zhe5"),
    "大夫": ("dai4", "fu5"),
}
