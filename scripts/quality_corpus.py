"""What the quality checks are measured on: sentences of many kinds, in Chinese, English and both at once.

Invariant: a line is one text; nothing here was chosen by what the checks say of it.
"""

from __future__ import annotations

CHINESE = """
你好。
好的，没问题。
是吗？
早上好，今天过得怎么样？
请稍等，我马上就来。
今天早上的火车又晚点了，我们只好沿着河边走回家。
她把那封信放回抽屉里，然后轻轻关上了窗户。
没有人知道那座旧灯塔为什么夜里还亮着。
离开大楼以前，请把所有的灯都关掉。
一条小船慢慢地穿过安静的湖面。
我哥哥买了新鲜的面包和一瓶牛奶。
老师让每个学生都大声朗读一页课文。
他笑得那么大声，整个房间的人都转过头来。
床前明月光，疑是地上霜。举头望明月，低头思故乡。
四是四，十是十，十四是十四，四十是四十。
吃葡萄不吐葡萄皮，不吃葡萄倒吐葡萄皮。
妈妈说，宝宝睡着了，我们小声一点。
高高的山上有一座小小的房子。
哈哈哈，你真的这么说吗？
太好了！我们赢了！
唉……算了吧。
“你到底去不去？”他问。“去，当然去！”她回答。
请拨打电话 400-820-8820，工作时间为周一至周五 9:00 到 18:00。
本次列车将于 14:05 从 12 号站台出发，票价 73.50 元，比去年便宜 20%。
2024 年 11 月 3 日，气温零下 5℃，风力 3 到 4 级。
我的邮箱是 test@example.com，有事请发邮件。
圆周率约等于 3.1415926。
人口超过 1400000000，占全球的 17.5%。
第一，打开设置；第二，选择网络；第三，输入密码。
苹果、香蕉、橘子、葡萄、西瓜，随便挑。
北京、上海、广州和深圳是中国的四个一线城市。
人工智能正在改变我们的生活方式，从手机助手到自动驾驶，从医疗诊断到天气预报，几乎无处不在。
这件事情说来话长，要从三年前的那个夏天讲起，那时候我刚刚大学毕业，一个人提着行李来到这座陌生的城市。
春天来了，花开了，鸟儿在枝头唱歌。
虽然外面下着大雨，但是他还是准时到了。
如果明天不下雨，我们就去爬山；如果下雨，就在家看电影。
我喜欢用 Python 写代码，也会一点 JavaScript。
这个 API 的 GPU 版本需要 24 GB 显存。
请打开 Wi-Fi，然后下载 iOS 18 的更新。
OK，那我们 tomorrow 见！
她是我们公司的 CEO，以前在 Google 工作。
不。
对，对，对，就是这样。
慢慢来，不要着急。
欢迎收听今天的节目，我是主持人小林。
注意：前方五百米右转，进入人民路。
您的验证码是 482913，五分钟内有效。
比分是 3:2，主队获胜。
他一共花了 1,280 元，其中一半是路费。
长江全长 6300 公里，是亚洲第一长河。
外婆的菜园里种着茄子、辣椒和西红柿，每到夏天，满园子都是香味。
天空渐渐暗了下来，远处的山变成了一条黑色的线，村子里一盏一盏的灯亮了起来。
我想了很久，还是决定告诉你真相。
别怕，有我在。
你怎么可以这样对我？
快跑！快跑！他们来了！
嘘，小声点。
这道题的答案是 A，不是 B。
参考文献见第 3 章第 2 节，第 45 页。
谢谢大家的聆听，我们下期再见。
""".strip().splitlines()

ENGLISH = """
Hello.
Yes, of course.
Really?
Good morning, how are you today?
One moment, please.
The morning train was late again, so we walked along the river.
She put the letter back into the drawer and closed the window.
Nobody knew why the old lighthouse was still shining at night.
Please turn off the lights before you leave the building.
A small boat moved slowly across the quiet lake.
The teacher asked every student to read one page aloud.
He laughed so loudly that the whole room turned around.
The moon had climbed above the rooftops, and one window after another went dark.
Only the little fox was still awake. "Are you listening?" it whispered.
The train to Hangzhou leaves on 3 November at 14:05 from platform 12.
A ticket costs $73.50, 20% less than last year.
Call 1-800-555-0123 between 9:00 and 17:30, Monday to Friday.
My address is jane.doe@example.com, and the site is https://www.example.org/help.
Pi is about 3.14159265.
The population is 1,400,000,000, or 17.5% of the world.
First, open the settings; second, choose the network; third, type the password.
Apples, bananas, oranges, grapes and melons: take whatever you like.
She sells sea shells by the sea shore.
Peter Piper picked a peck of pickled peppers.
Row, row, row your boat, gently down the stream.
To be, or not to be, that is the question.
It was the best of times, it was the worst of times.
Ha ha ha, did you really say that?
No, no, no, that is not what I meant.
We won! We actually won!
Oh well... never mind.
"Are you coming or not?" he asked. "Yes, of course I am," she said.
NASA and the FBI declined to comment.
The CPU runs at 3.5 GHz, and the GPU has 24 GB of memory.
Dr. Smith lives at 221B Baker St., not far from Mr. Jones.
Although it was raining heavily outside, he still arrived on time.
If it does not rain tomorrow, we will go hiking; if it does, we will stay at home and watch a film.
Artificial intelligence is changing the way we live, from phones to cars, from diagnosis to weather forecasts.
It is a long story, and it begins three years ago, when I came to this strange city alone with one suitcase.
Spring has come, the flowers are open, and the birds are singing.
Through the thick fog she thought she saw the strengths of the old fortress.
No.
A.
I.
Go!
Wait, what was that noise?
Please do not worry about it.
Your code is 482913; it is valid for five minutes.
The score was 3 to 2.
In 1969 two people walked on the moon for the first time.
Turn right in 500 metres, then keep left.
The quick brown fox jumps over the lazy dog.
I thought about it for a long time and decided to tell you the truth.
Don't be afraid, I am here.
How could you do this to me?
Run! Run! They are coming!
Unbelievable, extraordinarily complicated characterisation.
Chapter 3, section 2, page 45.
The answer is B, not A.
Thank you for listening, and goodbye.
""".strip().splitlines()
