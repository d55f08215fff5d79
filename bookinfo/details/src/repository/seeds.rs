//! The sample books.

/// A book to enter when the database is new. Texts are static: they are part of the program.
pub(super) struct Seed {
    pub(super) id: i64,
    pub(super) name: &'static str,
    pub(super) author: &'static str,
    pub(super) published: &'static str,
    pub(super) intro: &'static str,
}

/// Three of the great classical novels. Dates are those of the earliest printed edition that survives.
pub(super) const BOOKS: &[Seed] = &[
    Seed {
        id: 1,
        name: "Dream of the Red Chamber (红楼梦)",
        author: "Cao Xueqin",
        published: "1791",
        intro: "Jia Baoyu, born with a piece of jade in his mouth, grows up among the girls \
                and women of a great house whose fortune is running out. His love for his \
                frail cousin Lin Daiyu and the family's slow ruin unfold through poems, feasts \
                and household quarrels. A branch of scholarship studies nothing else.",
    },
    Seed {
        id: 2,
        name: "Journey to the West (西游记)",
        author: "Wu Cheng'en",
        published: "1592",
        intro: "A monk walks from China to India to fetch holy scriptures, guarded by a \
                rebellious monkey king, a greedy pig and a quiet river spirit. Demons who long \
                to eat the monk wait on every mountain. Under the slapstick and the magic lies \
                a tale of four flawed travellers who learn patience.",
    },
    Seed {
        id: 3,
        name: "Romance of the Three Kingdoms (三国演义)",
        author: "Luo Guanzhong",
        published: "1522",
        intro: "The Han empire falls apart and three rival states fight for a century over \
                what is left of it. Sworn brothers, turncoats and the strategist Zhuge Liang \
                decide battles by wit as often as by the sword. The book mixes chronicle and \
                legend so well that many readers no longer tell them apart.",
    },
];
