-- Titles and links of all news.
select title, link from news
