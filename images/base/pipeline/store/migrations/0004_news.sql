-- News as fetched, the state of each feed, and what the model made of it.
create table news (
    id bigint generated always as identity primary key,
    uid text not null unique,
    feed text not null,
    title text not null,
    summary text not null,
    link text,
    published_at timestamptz not null,
    date_marked text check (date_marked in ('missing', 'future')),
    fetched_at timestamptz not null
);
create index news_by_published on news (published_at);

create table feed_state (
    feed_url text primary key,
    etag text,
    last_modified text,
    last_ok_at timestamptz,
    checked_at timestamptz not null,
    last_error text,
    consecutive_failures integer not null default 0
);

-- published_at is copied from news (it never changes): readers of sentiment judge its age without reading news.
create table sentiment (
    news_id bigint primary key references news (id),
    published_at timestamptz not null,
    label text not null check (label in ('negative', 'neutral', 'positive')),
    score double precision not null check (score between -1 and 1),
    tickers text[] not null,
    model_version text not null,
    classified_at timestamptz not null,
    check ((label = 'neutral' and score = 0) or (label = 'positive' and score > 0) or (label = 'negative' and score < 0))
);
create index sentiment_by_published on sentiment (published_at);
